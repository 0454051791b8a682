// The autograd function of depthwise.rs.
#include <ATen/Parallel.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"

namespace torchmill {
namespace {

// The weight's gradient is summed in at most this many parts of a batch, which are then added in order. The number does
// not depend on the number of threads, so the sums do not either.
constexpr int64_t PARTS = 16;

DepthwiseAxis axis(
    const at::Tensor& x, const at::Tensor& gradient, const at::Tensor& weight, at::IntArrayRef stride,
    at::IntArrayRef padding, int i) {
    return {
        size_t(x.size(2 + i)), size_t(gradient.size(2 + i)), size_t(weight.size(2 + i)), size_t(stride[i]),
        size_t(padding[i])};
}

// [C, 1, height, width] as a float32 matrix [taps, C], and back in the dtype and layout of the weight.
at::Tensor to_taps(const at::Tensor& weight) {
    return weight.permute({2, 3, 1, 0}).reshape({-1, weight.size(0)}).to(at::kFloat).contiguous();
}
at::Tensor from_taps(const at::Tensor& taps, const at::Tensor& weight) {
    const auto in_order = taps.view({weight.size(2), weight.size(3), 1, weight.size(0)}).permute({3, 2, 0, 1});
    return at::empty_like(weight).copy_(in_order);
}

at::Tensor input_gradient(
    const DepthwiseShape& shape, const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight) {
    const auto result = at::empty_like(x, x.options().memory_format(CHANNELS_LAST));
    const auto taps = to_taps(weight);
    const auto weights = read_slice<float>(taps, 0, taps.numel());
    const size_t row = shape.columns.input * shape.channels;
    const size_t output = shape.rows.output * shape.columns.output * shape.channels;
    const int64_t operations = std::max<int64_t>(1, row * shape.rows.kernel * shape.columns.kernel);
    for_element_type(x, [&](auto zero) {
        using T = decltype(zero);
        at::parallel_for(0, x.size(0) * x.size(2), divide_up(GRAIN, operations), [&](int64_t first, int64_t end) {
            for (int64_t i = first; i < end; i++) {
                const size_t image = i / x.size(2);
                depthwise_input_gradient(
                    shape, i % x.size(2), read_slice<T>(gradient, image * output, output), weights,
                    write_slice<T>(result, i * row, row));
            }
        });
    });
    return result;
}

at::Tensor weight_gradient(
    const DepthwiseShape& shape, const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight) {
    const int64_t images = x.size(0), parts = std::min(images, PARTS);
    const size_t input = x.numel() / images, output = gradient.numel() / images;
    const size_t count = weight.numel();
    const auto sums = at::empty({parts, int64_t(count)}, x.options().dtype(at::kFloat));
    for_element_type(x, [&](auto zero) {
        using T = decltype(zero);
        at::parallel_for(0, parts, 1, [&](int64_t part, int64_t end) {
            for (; part < end; part++) {
                const size_t first = images * part / parts, after = images * (part + 1) / parts;
                depthwise_weight_gradient(
                    shape, read_slice<T>(x, first * input, (after - first) * input),
                    read_slice<T>(gradient, first * output, (after - first) * output),
                    write_slice<float>(sums, part * count, count));
            }
        });
    });
    return from_taps(sums.sum(0), weight);
}

struct DepthwiseConv2d : torch::autograd::Function<DepthwiseConv2d> {
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
        const std::optional<at::Tensor>& bias, at::IntArrayRef stride, at::IntArrayRef padding) {
        context->save_for_backward({x, weight});
        context->saved_data["stride"] = stride;
        context->saved_data["padding"] = padding;
        context->saved_data["bias"] = bias.has_value();
        return at::convolution(x, weight, bias, stride, padding, {1, 1}, false, {0, 0}, x.size(1));
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const auto &x = saved[0], &weight = saved[1];
        const auto stride = context->saved_data["stride"].toIntVector();
        const auto padding = context->saved_data["padding"].toIntVector();
        const auto gradient = gradients[0].contiguous(CHANNELS_LAST);
        const DepthwiseShape shape{
            size_t(x.size(1)), axis(x, gradient, weight, stride, padding, 0),
            axis(x, gradient, weight, stride, padding, 1)};
        at::Tensor of_x, of_weight, of_bias;
        if (context->needs_input_grad(0)) of_x = input_gradient(shape, gradient, x, weight);
        if (context->needs_input_grad(1)) of_weight = weight_gradient(shape, gradient, x, weight);
        // Without a bias, autograd has only two inputs.
        if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) of_bias = gradient.sum({0, 2, 3});
        return {of_x, of_weight, of_bias, at::Tensor(), at::Tensor()};
    }
};

}  // namespace

std::unique_ptr<at::Tensor> depthwise_conv2d(
    const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, std::array<int64_t, 2> stride,
    std::array<int64_t, 2> padding) {
    if (!is_supported(x) || weight.dim() != 4 || weight.size(0) != x.size(1) || weight.size(1) != 1) return nullptr;
    if (weight.scalar_type() != x.scalar_type() || !weight.device().is_cpu()) return nullptr;
    // Where the kernel does not fit in the image, ATen reports the error.
    for (int i = 0; i < 2; i++) {
        if (stride[i] < 1 || padding[i] < 0 || x.size(2 + i) + 2 * padding[i] < weight.size(2 + i)) return nullptr;
    }
    return to_pointer(DepthwiseConv2d::apply(
        x, weight, optional(bias), at::IntArrayRef(stride.data(), 2), at::IntArrayRef(padding.data(), 2)));
}

}  // namespace torchmill
