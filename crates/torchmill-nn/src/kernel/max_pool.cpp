// The autograd function of max_pool.rs.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"

namespace torchmill {
namespace {

size_t input_size(const PoolShape& s) { return s.height * s.width * s.channels; }
size_t output_size(const PoolShape& s) {
    return (s.height / s.kernel_height) * (s.width / s.kernel_width) * s.channels;
}

// Calls work(first, count) for ranges of images, on libtorch's threads.
template <typename Work>
void for_images(const PoolShape& shape, int64_t images, const Work& work) {
    const int64_t grain = std::max<int64_t>(1, GRAIN / input_size(shape));
    at::parallel_for(0, images, grain, [&](int64_t first, int64_t end) { work(size_t(first), size_t(end - first)); });
}

struct MaxPool : torch::autograd::Function<MaxPool> {
    static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const PoolShape& shape) {
        const int64_t height = shape.height / shape.kernel_height, width = shape.width / shape.kernel_width;
        auto y = at::empty({x.size(0), x.size(1), height, width}, x.options().memory_format(CHANNELS_LAST));
        // One byte per output: the index of the pixel in the window that won.
        auto winners = at::empty({y.numel()}, x.options().dtype(at::kByte));
        const size_t inputs = input_size(shape), outputs = output_size(shape);
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            for_images(shape, x.size(0), [&](size_t first, size_t count) {
                max_pool_forward(
                    shape, read_slice<T>(x, first * inputs, count * inputs),
                    write_slice<T>(y, first * outputs, count * outputs),
                    write_slice<uint8_t>(winners, first * outputs, count * outputs));
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
        const size_t inputs = input_size(shape), outputs = output_size(shape);
        for_element_type(gradient, [&](auto zero) {
            using T = decltype(zero);
            for_images(shape, size[0], [&](size_t first, size_t count) {
                max_pool_backward(
                    shape, read_slice<T>(gradient, first * outputs, count * outputs),
                    read_slice<uint8_t>(winners, first * outputs, count * outputs),
                    write_slice<T>(x_gradient, first * inputs, count * inputs));
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
