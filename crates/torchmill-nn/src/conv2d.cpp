// How the convolutions of conv2d.rs enter autograd, which takes custom functions from C++ alone.
#include <ATen/ops/addmm.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>

#include "cpp.h"

// As in conv2d.rs.
struct Conv2d {
    int64_t stride[2], padding[2];
    bool output, weight_gradient, input_gradient;
};

namespace {

// What a window of the kernel's size sees at each of its places, [places, kernel height * kernel width * C], of images
// [N, C, H, W] in channels-last layout.
at::Tensor patches(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef stride, at::IntArrayRef padding) {
    auto rows = x.permute({0, 2, 3, 1});
    if (padding[0] != 0 || padding[1] != 0) {
        rows = at::constant_pad_nd(rows, {0, 0, padding[1], padding[1], padding[0], padding[0]});
    }
    const int64_t images = rows.size(0), channels = rows.size(3);
    const int64_t height = (rows.size(1) - kernel[0]) / stride[0] + 1, width = (rows.size(2) - kernel[1]) / stride[1] + 1;
    const auto step = rows.strides();
    return rows
        .as_strided(
            {images, height, width, kernel[0], kernel[1], channels},
            {step[0], step[1] * stride[0], step[2] * stride[1], step[1], step[2], step[3]})
        .reshape({images * height * width, kernel[0] * kernel[1] * channels});
}

// [N, C, H, W] as a matrix of a row a pixel, and back.
at::Tensor pixels(const at::Tensor& x) { return x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)}); }
at::Tensor images(const at::Tensor& pixels, int64_t count, int64_t height, int64_t width) {
    return pixels.view({count, height, width, -1}).permute({0, 3, 1, 2});
}

struct ConvolutionByProducts : torch::autograd::Function<ConvolutionByProducts> {
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
        const std::optional<at::Tensor>& bias, const Conv2d& how) {
        context->save_for_backward({x, weight});
        context->saved_data["stride"] = at::IntArrayRef(how.stride);
        context->saved_data["padding"] = at::IntArrayRef(how.padding);
        context->saved_data["weight_gradient"] = how.weight_gradient;
        context->saved_data["input_gradient"] = how.input_gradient;
        context->saved_data["bias"] = bias.has_value();
        if (!how.output) {
            return at::convolution(x, weight, bias, how.stride, how.padding, {1, 1}, false, {0, 0}, 1);
        }
        const auto kernel = weight.sizes().slice(2);
        const auto rows = patches(x, kernel, how.stride, how.padding);
        const auto by = weight.permute({0, 2, 3, 1}).reshape({weight.size(0), -1}).t();
        const auto size = [&](int i) { return (x.size(2 + i) + 2 * how.padding[i] - kernel[i]) / how.stride[i] + 1; };
        // No view of the product: what comes after may work in place.
        auto y = at::empty({x.size(0), weight.size(0), size(0), size(1)}, x.options().memory_format(LAYOUT));
        auto product = y.permute({0, 2, 3, 1}).view({rows.size(0), weight.size(0)});
        if (bias.has_value()) {
            at::addmm_out(product, *bias, rows, by);
        } else {
            at::mm_out(product, rows, by);
        }
        return y;
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const auto &x = saved[0], &weight = saved[1];
        const auto stride = context->saved_data["stride"].toIntVector();
        const auto padding = context->saved_data["padding"].toIntVector();
        const auto kernel = weight.sizes().slice(2);
        const auto gradient = gradients[0].contiguous(LAYOUT);
        at::Tensor of_x, of_weight, of_bias;
        std::array<bool, 3> left = {context->needs_input_grad(0), context->needs_input_grad(1), false};
        if (left[0] && context->saved_data["input_gradient"].toBool()) {
            // The convolution of the gradient with the kernel turned by half a turn, from and to the other channels.
            const auto turned = weight.permute({2, 3, 0, 1}).flip({0, 1}).reshape({-1, weight.size(1)});
            const auto around = std::array{kernel[0] - 1 - padding[0], kernel[1] - 1 - padding[1]};
            const auto rows = patches(gradient, kernel, {1, 1}, around);
            of_x = images(at::mm(rows, turned), x.size(0), x.size(2), x.size(3));
            left[0] = false;
        }
        if (left[1] && context->saved_data["weight_gradient"].toBool()) {
            // Its layout is that of a weight in channels-last.
            of_weight = images(
                at::mm(pixels(gradient).t(), patches(x, kernel, stride, padding)), weight.size(0), kernel[0], kernel[1]);
            left[1] = false;
        }
        if (left[0] || left[1]) {
            const auto rest = at::convolution_backward(
                gradient, x, weight, std::nullopt, stride, padding, {1, 1}, false, {0, 0}, 1, left);
            if (left[0]) of_x = std::get<0>(rest);
            if (left[1]) of_weight = std::get<1>(rest);
        }
        // There is no third variable where there is no bias.
        if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) of_bias = pixels(gradient).sum(0);
        return {of_x, of_weight, of_bias, at::Tensor()};
    }
};

}  // namespace

// A new tensor; or null, where the input or the weight is not in channels-last layout on the CPU or, with *error set,
// where libtorch throws.
extern "C" at::Tensor* torchmill_conv2d(
    const at::Tensor* x, const at::Tensor* weight, const at::Tensor* bias, const Conv2d* how, char** error) {
    if (!x->device().is_cpu() || !x->is_contiguous(LAYOUT) || !weight->is_contiguous(LAYOUT)) return nullptr;
    const auto optional = bias == nullptr ? std::nullopt : std::make_optional(*bias);
    return made(error, [&] { return ConvolutionByProducts::apply(*x, *weight, optional, *how); });
}
