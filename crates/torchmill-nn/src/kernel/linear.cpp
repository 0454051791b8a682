// The autograd function of linear.rs.
#include <torch/csrc/autograd/custom_function.h>

#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"

namespace torchmill {
namespace {

// On matrices: x [M, K], weight [N, K].
struct FloatLinear : torch::autograd::Function<FloatLinear> {
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
        const std::optional<at::Tensor>& bias, Products products) {
        context->save_for_backward({x, weight});
        context->saved_data["bias"] = bias.has_value();
        context->saved_data["products"] = int64_t(products);
        return product(x, weight.t(), bias, products);
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const auto &x = saved[0], &weight = saved[1];
        const auto products = Products(context->saved_data["products"].toInt());
        const auto gradient = gradients[0].contiguous();
        at::Tensor x_gradient, weight_gradient, bias_gradient;
        if (context->needs_input_grad(0)) x_gradient = product(gradient, weight, std::nullopt, products);
        if (context->needs_input_grad(1)) weight_gradient = product(gradient.t(), x, std::nullopt, products);
        // Without a bias, autograd has only two inputs.
        if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) bias_gradient = gradient.sum(0);
        return {x_gradient, weight_gradient, bias_gradient, at::Tensor()};
    }
};

}  // namespace

std::unique_ptr<at::Tensor> linear(
    const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Products products) {
    const bool is_float = x.scalar_type() == at::kFloat && weight.scalar_type() == at::kFloat;
    if (!x.device().is_cpu() || !is_float || x.dim() < 2 || x.numel() == 0 || weight.dim() != 2) return nullptr;
    // If the sizes do not match, ATen reports the error.
    if (x.size(-1) != weight.size(1)) return nullptr;
    if (bias.defined() && (bias.scalar_type() != at::kFloat || bias.dim() != 1)) return nullptr;
    // The three products have the same sizes.
    const int64_t rows = x.numel() / x.size(-1);
    if (products == Products::Amx && !amx_multiplies(rows, x.size(-1), weight.size(0))) return nullptr;
    // The function returns a matrix that is not a view: the next layer may change it in place.
    const auto y = FloatLinear::apply(x.reshape({-1, weight.size(1)}), weight, optional(bias), products);
    if (x.dim() == 2) return to_pointer(y);
    auto size = x.sizes().vec();
    size.back() = weight.size(0);
    return to_pointer(y.view(size));
}

}  // namespace torchmill
