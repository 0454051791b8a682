// The autograd function of conv2d.rs.
#include <ATen/Parallel.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>

#include "amx_product.h"
#include "amx_tiles.h"
#include "amx_weight_gradient.h"
#include "avx512.h"
#include "karatsuba.h"
#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"
#include "weight_views.h"
#include "winograd.h"

namespace torchmill {
namespace {

// im2col: for images [N, C, H, W] in channels-last layout, the pixels under the kernel at each position, [positions,
// kernel height * kernel width * C].
at::Tensor im2col(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef stride, at::IntArrayRef padding) {
    auto rows = x.permute({0, 2, 3, 1});
    if (padding[0] != 0 || padding[1] != 0) {
        rows = at::constant_pad_nd(rows, {0, 0, padding[1], padding[1], padding[0], padding[0]});
    }
    const int64_t images = rows.size(0), channels = rows.size(3);
    const int64_t height = (rows.size(1) - kernel[0]) / stride[0] + 1;
    const int64_t width = (rows.size(2) - kernel[1]) / stride[1] + 1;
    const auto step = rows.strides();
    return rows
        .as_strided(
            {images, height, width, kernel[0], kernel[1], channels},
            {step[0], step[1] * stride[0], step[2] * stride[1], step[1], step[2], step[3]})
        .reshape({images * height * width, kernel[0] * kernel[1] * channels});
}

// Reshapes [N, C, H, W] to a matrix with a row for each pixel, and back.
at::Tensor to_matrix(const at::Tensor& x) { return x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)}); }
at::Tensor from_matrix(const at::Tensor& matrix, int64_t images, int64_t height, int64_t width) {
    return matrix.view({images, height, width, -1}).permute({0, 3, 1, 2});
}

// An uninitialised output. It is not a view, so that the next layer may change it in place.
at::Tensor empty_output(const at::Tensor& x, const at::Tensor& weight, const ConvPlan& plan) {
    const auto size = [&](int i) {
        return (x.size(2 + i) + 2 * plan.padding[i] - weight.size(2 + i)) / plan.stride[i] + 1;
    };
    return at::empty({x.size(0), weight.size(0), size(0), size(1)}, x.options().memory_format(CHANNELS_LAST));
}

at::Tensor multiply(
    const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias, const ConvPlan& plan) {
    const auto kernel = weight.sizes().slice(2);
    const auto rows = im2col(x, kernel, plan.stride, plan.padding);
    const auto columns = weight.permute({0, 2, 3, 1}).reshape({weight.size(0), -1}).t();
    auto y = empty_output(x, weight, plan);
    auto matrix = y.permute({0, 2, 3, 1}).view({rows.size(0), weight.size(0)});
    product_into(matrix, rows, columns, bias, plan.products);
    return y;
}

// The convolution of x to y with a kernel of the weight's height and width.
DenseConvolution dense_shape(
    const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight, at::IntArrayRef padding) {
    return {x.size(0), x.size(2),      x.size(3),      x.size(1),  y.size(2), y.size(3),
            y.size(1), weight.size(2), weight.size(3), padding[0], padding[1]};
}

// Whether one of our kernels for dense convolutions is to be used.
bool is_dense_kernel(ConvMethod method) {
    switch (method) {
        case ConvMethod::Amx:
            return amx_is_usable();
        case ConvMethod::Winograd:
        case ConvMethod::Karatsuba:
            return avx512_is_usable();
        default:
            return false;
    }
}

// Whether Winograd's or Karatsuba's algorithm is to compute the weight's gradient.
bool is_fast_kernel(WeightGradient method) {
    const bool is_chosen = method == WeightGradient::Winograd || method == WeightGradient::Karatsuba;
    return is_chosen && avx512_is_usable();
}

// Convolves x to y by one of our kernels. `weight(zero)` is the view of the weight for the type of `zero`.
template <typename View>
void convolve(
    ConvMethod method, const DenseConvolution& shape, const at::Tensor& x, const View& weight,
    const std::optional<at::Tensor>& bias, at::Tensor& y) {
    const auto added = bias.has_value() ? bias->contiguous() : at::Tensor();
    if (method == ConvMethod::Amx) {
        amx_convolution(
            shape, elements<float>(x), weight(0.0f), elements<float>(added), mutable_elements<float>(y));
        return;
    }
    for_element_type(x, [&](auto zero) {
        using T = decltype(zero);
        const auto compute = method == ConvMethod::Winograd ? winograd_convolution<T> : karatsuba_convolution<T>;
        compute(shape, elements<T>(x), weight(zero), elements<T>(added), mutable_elements<T>(y));
    });
}

at::Tensor dense_output(
    const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias, const ConvPlan& plan) {
    auto y = empty_output(x, weight, plan);
    const auto elements = [&](auto zero) { return view<decltype(zero)>(weight); };
    convolve(plan.output, dense_shape(x, y, weight, plan.padding), x, elements, bias, y);
    return y;
}

// The input's gradient: the convolution of the gradient with the rotated kernel.
at::Tensor dense_input_gradient(
    ConvMethod method, const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight,
    at::IntArrayRef padding) {
    auto result = at::empty_like(x);
    const auto elements = [&](auto zero) { return rotated_view<decltype(zero)>(weight); };
    const auto shape = dense_shape(x, gradient, weight, padding).reversed();
    convolve(method, shape, gradient, elements, std::nullopt, result);
    return result;
}

// The weight's gradient by Winograd's or Karatsuba's algorithm.
at::Tensor fast_gradient(
    WeightGradient method, const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight,
    at::IntArrayRef padding) {
    auto result = at::empty_like(weight);
    const auto shape = dense_shape(x, gradient, weight, padding);
    for_element_type(x, [&](auto zero) {
        using T = decltype(zero);
        const auto compute =
            method == WeightGradient::Winograd ? winograd_weight_gradient<T> : karatsuba_weight_gradient<T>;
        compute(shape, elements<T>(x), elements<T>(gradient), mutable_elements<T>(result));
    });
    return result;
}

// Convolves the gradient with the kernel, rotated by 180 degrees and with its input and output channels swapped.
at::Tensor input_gradient(
    const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight, at::IntArrayRef padding,
    Products products) {
    const auto kernel = weight.sizes().slice(2);
    const auto rotated = weight.permute({2, 3, 0, 1}).flip({0, 1}).reshape({-1, weight.size(1)});
    const auto border = std::array{kernel[0] - 1 - padding[0], kernel[1] - 1 - padding[1]};
    const auto rows = im2col(gradient, kernel, {1, 1}, border);
    return from_matrix(product(rows, rotated, std::nullopt, products), x.size(0), x.size(2), x.size(3));
}

// The weight's gradient with AMX. Threads share out the output channels, then the input channels.
at::Tensor amx_gradient(
    const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight, at::IntArrayRef padding) {
    const auto result = at::empty_like(weight);
    const auto shape = dense_shape(x, gradient, weight, padding);
    const auto images = elements<uint16_t>(x);
    const auto gradients = elements<uint16_t>(gradient);
    const auto to = mutable_elements<uint16_t>(result);
    const int64_t out_blocks = divide_up(shape.out_channels, AMX_CHANNELS);
    const int64_t in_blocks = divide_up(shape.in_channels, AMX_CHANNELS);
    const int64_t threads = at::get_num_threads();
    const int64_t in_parts = std::clamp<int64_t>(divide_up(threads, out_blocks), 1, in_blocks);
    at::parallel_for(0, in_parts * out_blocks, 1, [&](int64_t first, int64_t end) {
        while (first < end) {
            const int64_t part = first / out_blocks, part_end = std::min(end, (part + 1) * out_blocks);
            const Channels out{
                first % out_blocks * AMX_CHANNELS,
                std::min((part_end - part * out_blocks) * AMX_CHANNELS, shape.out_channels)};
            const Channels in{
                in_blocks * part / in_parts * AMX_CHANNELS,
                std::min(in_blocks * (part + 1) / in_parts * AMX_CHANNELS, shape.in_channels)};
            amx_weight_gradient(shape, images, gradients, to, out, in);
            first = part_end;
        }
    });
    return result;
}

struct Im2colConv2d : torch::autograd::Function<Im2colConv2d> {
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
        const std::optional<at::Tensor>& bias, const ConvPlan& plan) {
        context->save_for_backward({x, weight});
        context->saved_data["stride"] = at::IntArrayRef(plan.stride);
        context->saved_data["padding"] = at::IntArrayRef(plan.padding);
        context->saved_data["weight_gradient"] = int64_t(plan.weight_gradient);
        context->saved_data["input_gradient"] = int64_t(plan.input_gradient);
        context->saved_data["products"] = int64_t(plan.products);
        context->saved_data["bias"] = bias.has_value();
        if (is_dense_kernel(plan.output)) return dense_output(x, weight, bias, plan);
        if (plan.output == ConvMethod::Product) return multiply(x, weight, bias, plan);
        return at::convolution(x, weight, bias, plan.stride, plan.padding, {1, 1}, false, {0, 0}, 1);
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const auto &x = saved[0], &weight = saved[1];
        const auto stride = context->saved_data["stride"].toIntVector();
        const auto padding = context->saved_data["padding"].toIntVector();
        const auto kernel = weight.sizes().slice(2);
        const auto gradient = gradients[0].contiguous(CHANNELS_LAST);
        at::Tensor x_gradient, weight_gradient, bias_gradient;
        // The gradients that ATen must compute: of the input, the weight and the bias.
        std::array<bool, 3> left = {context->needs_input_grad(0), context->needs_input_grad(1), false};
        const auto products = Products(context->saved_data["products"].toInt());
        const auto input_gradient_by = ConvMethod(context->saved_data["input_gradient"].toInt());
        if (left[0] && is_dense_kernel(input_gradient_by)) {
            x_gradient = dense_input_gradient(input_gradient_by, gradient, x, weight, padding);
            left[0] = false;
        } else if (left[0] && input_gradient_by == ConvMethod::Product) {
            x_gradient = input_gradient(gradient, x, weight, padding, products);
            left[0] = false;
        }
        const auto weight_gradient_by = WeightGradient(context->saved_data["weight_gradient"].toInt());
        if (left[1] && weight_gradient_by == WeightGradient::Amx && amx_is_usable()) {
            weight_gradient = amx_gradient(gradient, x, weight, padding);
            left[1] = false;
        } else if (left[1] && is_fast_kernel(weight_gradient_by)) {
            weight_gradient = fast_gradient(weight_gradient_by, gradient, x, weight, padding);
            left[1] = false;
        } else if (left[1] && weight_gradient_by == WeightGradient::Product) {
            // This gives it the layout of a channels-last weight.
            const auto columns = to_matrix(gradient).t();
            const auto rows = im2col(x, kernel, stride, padding);
            const auto matrix = product(columns, rows, std::nullopt, products);
            weight_gradient = from_matrix(matrix, weight.size(0), kernel[0], kernel[1]);
            left[1] = false;
        }
        if (left[0] || left[1]) {
            const auto rest = at::convolution_backward(
                gradient, x, weight, std::nullopt, stride, padding, {1, 1}, false, {0, 0}, 1, left);
            if (left[0]) x_gradient = std::get<0>(rest);
            if (left[1]) weight_gradient = std::get<1>(rest);
        }
        // Without a bias, autograd has only two inputs.
        if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) {
            bias_gradient = to_matrix(gradient).sum(0);
        }
        return {x_gradient, weight_gradient, bias_gradient, at::Tensor()};
    }
};

}  // namespace

std::unique_ptr<at::Tensor> conv2d(
    const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const ConvPlan& plan) {
    if (!x.device().is_cpu() || !x.is_contiguous(CHANNELS_LAST) || !weight.is_contiguous(CHANNELS_LAST)) return nullptr;
    const bool same = x.scalar_type() == weight.scalar_type() && (!bias.defined() || bias.scalar_type() == x.scalar_type());
    // ATen reports a bias of another size.
    const bool fits = !bias.defined() || bias.numel() == weight.size(0);
    if (!same || !fits) return nullptr;
    return to_pointer(Im2colConv2d::apply(x, weight, optional(bias), plan));
}

}  // namespace torchmill
