// The autograd function of conv_pool.rs.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "amx_conv_pool.h"
#include "amx_tiles.h"
#include "kernels.h"

namespace torchmill {
namespace {

ConvPoolShape shape_of(const at::Tensor& x, const at::Tensor& weight, at::IntArrayRef padding) {
    return {x.size(0),      x.size(2),      x.size(3),  x.size(1), weight.size(0),
            weight.size(2), weight.size(3), padding[0], padding[1]};
}

struct ConvPool : torch::autograd::Function<ConvPool> {
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
        const std::optional<at::Tensor>& bias, at::IntArrayRef padding) {
        const auto shape = shape_of(x, weight, padding);
        const auto y = at::empty(
            {shape.images, shape.out_channels, shape.pooled_height(), shape.pooled_width()},
            x.options().memory_format(CHANNELS_LAST));
        const auto winners = at::empty({y.numel()}, x.options().dtype(at::kByte));
        const auto biases = bias.value_or(at::Tensor());
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            at::parallel_for(0, shape.images, 1, [&](int64_t first, int64_t end) {
                amx_conv_pool(
                    shape, first, end, elements<T>(x), elements<T>(weight), elements<T>(biases), mutable_elements<T>(y),
                    mutable_elements<uint8_t>(winners));
            });
        });
        context->save_for_backward({x, winners, weight});
        context->saved_data["padding"] = padding;
        context->saved_data["bias"] = bias.has_value();
        return y;
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

bool supports(const at::Tensor& x, const ConvPoolShape& shape) {
    return x.scalar_type() == at::kFloat ? amx_conv_pool_supports<float>(shape) : amx_conv_pool_supports<uint16_t>(shape);
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
    // The first layer's input needs no gradient.
    if (x.requires_grad() || !supports(x, shape_of(x, weight, padding))) return nullptr;
    return to_pointer(ConvPool::apply(x, weight, optional(bias), at::IntArrayRef(padding)));
}

}  // namespace torchmill
