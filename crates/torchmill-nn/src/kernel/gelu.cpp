// The autograd function of gelu.rs.
#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"

namespace torchmill {
namespace {

// Calls work(first, count) for ranges of a tensor's elements, on libtorch's threads.
template <typename Work>
void for_elements(const at::Tensor& x, const Work& work) {
    at::parallel_for(0, x.numel(), GRAIN / 4, [&](int64_t first, int64_t end) {
        work(size_t(first), size_t(end - first));
    });
}

struct GELU : torch::autograd::Function<GELU> {
    static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x) {
        context->save_for_backward({x});
        const auto y = at::empty_like(x);
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            for_elements(x, [&](size_t first, size_t count) {
                gelu_forward(read_slice<T>(x, first, count), write_slice<T>(y, first, count));
            });
        });
        return y;
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
        const auto x = context->get_saved_variables()[0];
        auto gradient = gradients[0];
        // The loops go through the memory of all tensors in the same order.
        if (gradient.strides() != x.strides()) gradient = at::empty_like(x).copy_(gradient);
        const auto x_gradient = at::empty_like(x);
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            for_elements(x, [&](size_t first, size_t count) {
                gelu_backward(
                    read_slice<T>(x, first, count), read_slice<T>(gradient, first, count),
                    write_slice<T>(x_gradient, first, count));
            });
        });
        return {x_gradient};
    }
};

}  // namespace

std::unique_ptr<at::Tensor> gelu(const at::Tensor& x) {
    const auto kind = x.scalar_type();
    if (!x.device().is_cpu() || (kind != at::kFloat && kind != at::kBFloat16)) return nullptr;
    if (x.numel() == 0 || !x.is_non_overlapping_and_dense()) return nullptr;
    return to_pointer(GELU::apply(x));
}

}  // namespace torchmill
