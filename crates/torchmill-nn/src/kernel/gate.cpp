// The autograd function of gate.rs.
#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"

namespace torchmill {
namespace {

// Calls work(image) for each image, on libtorch's threads.
template <typename Work>
void for_each_image(const at::Tensor& x, const Work& work) {
    const int64_t elements = x.numel() / x.size(0);
    at::parallel_for(0, x.size(0), std::max<int64_t>(1, GRAIN / elements), [&](int64_t first, int64_t end) {
        for (int64_t image = first; image < end; image++) work(size_t(image));
    });
}

struct Gate : torch::autograd::Function<Gate> {
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& given_factors) {
        const auto factors = given_factors.contiguous();
        context->save_for_backward({x, factors});
        const auto y = at::empty_like(x);
        const size_t channels = x.size(1), elements = x.numel() / x.size(0);
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            for_each_image(x, [&](size_t image) {
                gate_forward(
                    read_slice<T>(x, image * elements, elements), read_slice<T>(factors, image * channels, channels),
                    write_slice<T>(y, image * elements, elements));
            });
        });
        return y;
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const auto &x = saved[0], &factors = saved[1];
        const auto gradient = gradients[0].contiguous(CHANNELS_LAST);
        const auto x_gradient = at::empty_like(x), factor_gradient = at::empty_like(factors);
        const size_t channels = x.size(1), elements = x.numel() / x.size(0);
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            for_each_image(x, [&](size_t image) {
                gate_backward(
                    read_slice<T>(x, image * elements, elements), read_slice<T>(factors, image * channels, channels),
                    read_slice<T>(gradient, image * elements, elements),
                    write_slice<T>(x_gradient, image * elements, elements),
                    write_slice<T>(factor_gradient, image * channels, channels));
            });
        });
        return {x_gradient, factor_gradient};
    }
};

}  // namespace

std::unique_ptr<at::Tensor> gate(const at::Tensor& x, const at::Tensor& factors) {
    if (!is_supported(x) || !factors.device().is_cpu() || factors.scalar_type() != x.scalar_type()) return nullptr;
    if (factors.sizes() != at::IntArrayRef{x.size(0), x.size(1), 1, 1}) return nullptr;
    return to_pointer(Gate::apply(x, factors));
}

}  // namespace torchmill
