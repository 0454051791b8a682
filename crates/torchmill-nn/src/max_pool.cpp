// How the max pooling of max_pool.rs enters autograd, which takes custom functions from C++ alone.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "cpp.h"

// As in max_pool.rs.
struct Pool {
    int64_t height, width, channels, kernel_height, kernel_width;
};
extern "C" void torchmill_max_pool_forward(
    const Pool*, bool bf16, size_t images, const void* input, void* output, uint8_t* winners);
extern "C" void torchmill_max_pool_backward(
    const Pool*, bool bf16, size_t images, const void* gradient, const uint8_t* winners, void* input_gradient);

namespace {

// Calls work(first, end, pool) for the images of a tensor [N, C, H, W], in libtorch's threads.
template <typename Work>
void for_images(const Pool& pool, int64_t images, const Work& work) {
    const int64_t size = pool.height * pool.width * pool.channels;
    at::parallel_for(0, images, std::max<int64_t>(1, GRAIN / size), work);
}

struct MaxPool : torch::autograd::Function<MaxPool> {
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, int64_t kernel_height, int64_t kernel_width) {
        const Pool pool{x.size(2), x.size(3), x.size(1), kernel_height, kernel_width};
        const int64_t height = pool.height / kernel_height, width = pool.width / kernel_width;
        const int64_t outputs = height * width * pool.channels;
        auto output = at::empty({x.size(0), pool.channels, height, width}, x.options().memory_format(LAYOUT));
        auto winners = at::empty({x.size(0) * outputs}, x.options().dtype(at::kByte));
        const size_t element = x.element_size();
        const auto* from = static_cast<const char*>(x.const_data_ptr());
        auto* to = static_cast<char*>(output.data_ptr());
        auto* winner = winners.data_ptr<uint8_t>();
        for_images(pool, x.size(0), [&](int64_t first, int64_t end) {
            torchmill_max_pool_forward(
                &pool, x.scalar_type() == at::kBFloat16, end - first,
                from + first * pool.height * pool.width * pool.channels * element, to + first * outputs * element,
                winner + first * outputs);
        });
        context->save_for_backward({winners});
        context->saved_data["size"] = x.sizes();
        context->saved_data["kernel"] = std::vector<int64_t>{kernel_height, kernel_width};
        return output;
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
        const auto size = context->saved_data["size"].toIntVector();
        const auto kernel = context->saved_data["kernel"].toIntVector();
        const Pool pool{size[2], size[3], size[1], kernel[0], kernel[1]};
        const int64_t outputs = (pool.height / kernel[0]) * (pool.width / kernel[1]) * pool.channels;
        const auto gradient = gradients[0].contiguous(LAYOUT);
        const auto winners = context->get_saved_variables()[0];
        auto result = at::empty(size, gradient.options().memory_format(LAYOUT));
        const size_t element = gradient.element_size();
        const auto* from = static_cast<const char*>(gradient.const_data_ptr());
        const auto* winner = winners.const_data_ptr<uint8_t>();
        auto* to = static_cast<char*>(result.data_ptr());
        for_images(pool, size[0], [&](int64_t first, int64_t end) {
            torchmill_max_pool_backward(
                &pool, gradient.scalar_type() == at::kBFloat16, end - first, from + first * outputs * element,
                winner + first * outputs, to + first * pool.height * pool.width * pool.channels * element);
        });
        return {result, at::Tensor(), at::Tensor()};
    }
};

}  // namespace

// A new tensor; or null, where the input is not what the kernel takes or is smaller than the window or, with *error
// set, where libtorch throws.
extern "C" at::Tensor* torchmill_max_pool2d(
    const at::Tensor* x, int64_t kernel_height, int64_t kernel_width, char** error) {
    if (!taken(*x) || x->size(2) < kernel_height || x->size(3) < kernel_width) return nullptr;
    return made(error, [&] { return MaxPool::apply(*x, kernel_height, kernel_width); });
}
