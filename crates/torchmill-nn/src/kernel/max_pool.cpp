// The autograd function of max_pool.rs.
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"

namespace torchmill {
namespace {

struct MaxPool : torch::autograd::Function<MaxPool> {
    static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const PoolShape& shape) {
        const int64_t height = shape.height / shape.kernel_height, width = shape.width / shape.kernel_width;
        auto y = at::empty({x.size(0), x.size(1), height, width}, x.options().memory_format(CHANNELS_LAST));
        // One byte per output: the index of the pixel in the window that won.
        auto winners = at::empty({x.size(0), y.numel() / x.size(0)}, x.options().dtype(at::kByte));
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            for_images(x, [&](size_t first, size_t count) {
                max_pool_forward(
                    shape, read_images<T>(x, first, count), write_images<T>(y, first, count),
                    write_images<uint8_t>(winners, first, count));
            });
        });
        context->save_for_backward({winners});
        context->saved_data["size"] = x.sizes();
        context->saved_data["kernel"] =
            std::vector<int64_t>{int64_t(shape.kernel_height), int64_t(shape.kernel_width)};
        return y;
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
        const auto size = context->saved_data["size"].toIntVector();
        const auto kernel = context->saved_data["kernel"].toIntVector();
        const PoolShape shape{size_t(size[2]), size_t(size[3]), size_t(size[1]), size_t(kernel[0]), size_t(kernel[1])};
        const auto gradient = gradients[0].contiguous(CHANNELS_LAST);
        const auto winners = context->get_saved_variables()[0];
        auto x_gradient = at::empty(size, gradient.options().memory_format(CHANNELS_LAST));
        for_element_type(gradient, [&](auto zero) {
            using T = decltype(zero);
            for_images(x_gradient, [&](size_t first, size_t count) {
                max_pool_backward(
                    shape, read_images<T>(gradient, first, count), read_images<uint8_t>(winners, first, count),
                    write_images<T>(x_gradient, first, count));
            });
        });
        return {x_gradient, at::Tensor()};
    }
};

}  // namespace

std::unique_ptr<at::Tensor> max_pool2d(const at::Tensor& x, int64_t kernel_height, int64_t kernel_width) {
    if (!is_supported(x) || x.size(2) < kernel_height || x.size(3) < kernel_width) return nullptr;
    const PoolShape shape{
        size_t(x.size(2)), size_t(x.size(3)), size_t(x.size(1)), size_t(kernel_height), size_t(kernel_width)};
    return to_pointer(MaxPool::apply(x, shape));
}

}  // namespace torchmill
