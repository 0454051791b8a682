// The autograd function of conv_pool.rs.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "amx_conv_pool.h"
#include "amx_tiles.h"
#include "avx512.h"
#include "karatsuba.h"
#include "kernels.h"
#include "weight_views.h"
#include "winograd.h"

namespace torchmill {
namespace {

ConvPoolShape shape_of(const at::Tensor& x, const at::Tensor& weight, at::IntArrayRef padding) {
    return {x.size(0),      x.size(2),      x.size(3),  x.size(1), weight.size(0),
            weight.size(2), weight.size(3), padding[0], padding[1]};
}

// What a forward pass writes: the pooled output, and for each element the index in its window of the pixel that won.
struct Results {
    at::Tensor y, winners;
};

// Uninitialised results. Saves what the backward pass needs.
Results prepare(
    torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
    const std::optional<at::Tensor>& bias, at::IntArrayRef padding) {
    const auto shape = shape_of(x, weight, padding);
    auto y = at::empty(
        {shape.images, shape.out_channels, shape.pooled_height(), shape.pooled_width()},
        x.options().memory_format(CHANNELS_LAST));
    auto winners = at::empty({y.numel()}, x.options().dtype(at::kByte));
    context->save_for_backward({x, winners, weight});
    context->saved_data["padding"] = padding;
    context->saved_data["bias"] = bias.has_value();
    return {y, winners};
}

struct AmxConvPool : torch::autograd::Function<AmxConvPool> {
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
        const std::optional<at::Tensor>& bias, at::IntArrayRef padding) {
        const auto shape = shape_of(x, weight, padding);
        const auto to = prepare(context, x, weight, bias, padding);
        const auto biases = bias.value_or(at::Tensor());
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            at::parallel_for(0, shape.images, 1, [&](int64_t first, int64_t end) {
                amx_conv_pool(
                    shape, first, end, elements<T>(x), elements<T>(weight), elements<T>(biases), mutable_elements<T>(to.y),
                    mutable_elements<uint8_t>(to.winners));
            });
        });
        return to.y;
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const auto &x = saved[0], &winners = saved[1], &weight = saved[2];
        const auto padding = context->saved_data["padding"].toIntVector();
        const auto shape = shape_of(x, weight, padding);
        const auto gradient = gradients[0].contiguous(CHANNELS_LAST);
        const int64_t parts = divide_up(shape.images, CONV_POOL_PART), count = amx_conv_pool_sums(shape);
        const auto sums = at::empty({parts, count}, x.options().dtype(at::kFloat));
        auto* const to = mutable_elements<float>(sums);
        const auto weight_gradient = at::empty_like(weight);
        // Without a bias, autograd has only two inputs.
        const bool has_bias = context->saved_data["bias"].toBool();
        const auto bias_gradient = has_bias ? at::empty({shape.out_channels}, x.options()) : at::Tensor();
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            at::parallel_for(0, parts, 1, [&](int64_t part, int64_t end) {
                for (; part < end; ++part) {
                    const int64_t first = part * CONV_POOL_PART, last = std::min(first + CONV_POOL_PART, shape.images);
                    amx_conv_pool_gradient(
                        shape, first, last, elements<T>(x), elements<T>(gradient), elements<uint8_t>(winners),
                        to + part * count);
                }
            });
            amx_conv_pool_finish(
                shape, parts, to, mutable_elements<T>(weight_gradient), mutable_elements<T>(bias_gradient));
        });
        return {at::Tensor(), weight_gradient, bias_gradient, at::Tensor()};
    }
};

// The convolution of x with an output that max pooling covers, for Winograd's and Karatsuba's algorithms.
DenseConvolution covered_shape(const at::Tensor& x, const at::Tensor& weight, at::IntArrayRef padding) {
    const auto shape = shape_of(x, weight, padding);
    return {
        shape.images,
        shape.height,
        shape.width,
        shape.in_channels,
        2 * shape.pooled_height(),
        2 * shape.pooled_width(),
        shape.out_channels,
        shape.kernel_height,
        shape.kernel_width,
        shape.padding_height,
        shape.padding_width};
}

bool is_winograd(const DenseConvolution& shape) { return shape.kernel_height == 3; }

// By Winograd's algorithm if the kernel is 3x3, and by Karatsuba's if it is 5x5.
struct FastConvPool : torch::autograd::Function<FastConvPool> {
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
        const std::optional<at::Tensor>& bias, at::IntArrayRef padding) {
        const auto shape = covered_shape(x, weight, padding);
        const auto to = prepare(context, x, weight, bias, padding);
        const auto biases = bias.value_or(at::Tensor());
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            const auto compute = is_winograd(shape) ? winograd_conv_pool<T> : karatsuba_conv_pool<T>;
            compute(
                shape, elements<T>(x), view<T>(weight), elements<T>(biases), mutable_elements<T>(to.y),
                mutable_elements<uint8_t>(to.winners));
        });
        return to.y;
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const auto &x = saved[0], &winners = saved[1], &weight = saved[2];
        const auto padding = context->saved_data["padding"].toIntVector();
        const auto shape = covered_shape(x, weight, padding);
        const auto gradient = gradients[0].contiguous(CHANNELS_LAST);
        at::Tensor x_gradient, weight_gradient, bias_gradient;
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            const PooledGradient<T> pooled{elements<T>(gradient), elements<uint8_t>(winners)};
            if (context->needs_input_grad(0)) {
                x_gradient = at::empty_like(x);
                const auto compute =
                    is_winograd(shape) ? winograd_unpooled_convolution<T> : karatsuba_unpooled_convolution<T>;
                compute(shape.reversed(), pooled, rotated_view<T>(weight), mutable_elements<T>(x_gradient));
            }
            if (context->needs_input_grad(1)) {
                weight_gradient = at::empty_like(weight);
                const auto compute =
                    is_winograd(shape) ? winograd_pooled_weight_gradient<T> : karatsuba_pooled_weight_gradient<T>;
                compute(shape, elements<T>(x), pooled, mutable_elements<T>(weight_gradient));
            }
        });
        // Without a bias, autograd has only two inputs.
        if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) {
            bias_gradient = gradient.sum({0, 2, 3});
        }
        return {x_gradient, weight_gradient, bias_gradient, at::Tensor()};
    }
};

// Whether the kernel for AMX supports a convolution. It is for the first layer, whose input needs no gradient.
bool amx_supports(const at::Tensor& x, const ConvPoolShape& shape) {
    if (x.requires_grad()) return false;
    return x.scalar_type() == at::kFloat ? amx_conv_pool_supports<float>(shape) : amx_conv_pool_supports<uint16_t>(shape);
}

// Whether the kernels of Winograd's and Karatsuba's algorithms do.
bool fast_kernels_support(const at::Tensor& x, const ConvPoolShape& shape) {
    const bool is_3x3 = shape.kernel_height == 3 && shape.kernel_width == 3;
    const bool is_5x5 = shape.kernel_height == 5 && shape.kernel_width == 5;
    const bool has_padding = shape.padding_height >= 0 && shape.padding_width >= 0;
    const bool is_dense = shape.padding_height < shape.kernel_height && shape.padding_width < shape.kernel_width;
    const bool is_pooled = shape.pooled_height() > 0 && shape.pooled_width() > 0;
    const bool has_few_channels = (shape.in_channels == 1 || shape.in_channels == 3) && !x.requires_grad();
    const int64_t multiple = is_3x3 ? 8 : 32;
    const bool has_channels = shape.in_channels % multiple == 0 || (is_5x5 && has_few_channels);
    return avx512_is_usable() && (is_3x3 || is_5x5) && has_padding && is_dense && is_pooled && has_channels &&
           shape.out_channels % multiple == 0;
}

}  // namespace

std::unique_ptr<at::Tensor> conv_pool(
    const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t padding_height,
    int64_t padding_width) {
    const int64_t padding[] = {padding_height, padding_width};
    if (!is_supported(x) || !is_supported(weight) || x.scalar_type() != weight.scalar_type()) return nullptr;
    const bool has_bias = bias.defined();
    if (has_bias && (bias.scalar_type() != x.scalar_type() || !bias.device().is_cpu() || !bias.is_contiguous())) {
        return nullptr;
    }
    if (x.size(1) != weight.size(1) || (has_bias && bias.numel() != weight.size(0))) return nullptr;
    const auto shape = shape_of(x, weight, padding);
    if (amx_supports(x, shape)) {
        return to_pointer(AmxConvPool::apply(x, weight, optional(bias), at::IntArrayRef(padding)));
    }
    if (fast_kernels_support(x, shape)) {
        return to_pointer(FastConvPool::apply(x, weight, optional(bias), at::IntArrayRef(padding)));
    }
    return nullptr;
}

}  // namespace torchmill
