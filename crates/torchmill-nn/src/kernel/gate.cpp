// The autograd function of gate.rs.
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"

namespace torchmill {
namespace {

// Calls work(image) for each image, on libtorch's threads.
template <typename Work>
void for_each_image(const at::Tensor& x, const Work& work) {
    for_images(x, [&](size_t first, size_t count) {
        for (size_t image = first; image < first + count; image++) work(image);
    });
}

struct Gate : torch::autograd::Function<Gate> {
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& given_factors) {
        const auto factors = given_factors.contiguous();
        context->save_for_backward({x, factors});
        const auto y = at::empty_like(x);
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            for_each_image(x, [&](size_t image) {
                gate_forward(
                    read_images<T>(x, image, 1), read_images<T>(factors, image, 1), write_images<T>(y, image, 1));
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
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            for_each_image(x, [&](size_t image) {
                gate_backward(
                    read_images<T>(x, image, 1), read_images<T>(factors, image, 1), read_images<T>(gradient, image, 1),
                    write_images<T>(x_gradient, image, 1), write_images<T>(factor_gradient, image, 1));
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
