// float32 matrix products with oneDNN, for linear.rs.
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"

namespace torchmill {

at::Tensor onednn_linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
    using Scalars = c10::List<std::optional<at::Scalar>>;
    using Name = std::optional<std::string_view>;
    // The operator can be called only through the dispatcher. "none" is the activation to apply.
    static const auto linear =
        c10::Dispatcher::singleton()
            .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
            .typed<at::Tensor(
                const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view, Scalars, Name)>();
    return linear.call(x, weight, bias, "none", Scalars(), Name(""));
}

namespace {

// On matrices: x [M, K], weight [N, K].
struct OnednnLinear : torch::autograd::Function<OnednnLinear> {
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
        const std::optional<at::Tensor>& bias) {
        context->save_for_backward({x, weight});
        context->saved_data["bias"] = bias.has_value();
        return onednn_linear(x, weight, bias);
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const auto &x = saved[0], &weight = saved[1];
        const auto gradient = gradients[0].contiguous();
        at::Tensor x_gradient, weight_gradient, bias_gradient;
        if (context->needs_input_grad(0)) x_gradient = onednn_linear(gradient, weight.t(), std::nullopt);
        if (context->needs_input_grad(1)) {
            weight_gradient = onednn_linear(gradient.t(), x.t(), std::nullopt);
        }
        // Without a bias, autograd has only two inputs.
        if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) bias_gradient = gradient.sum(0);
        return {x_gradient, weight_gradient, bias_gradient};
    }
};

}  // namespace

std::unique_ptr<at::Tensor> linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
    const bool is_float = x.scalar_type() == at::kFloat && weight.scalar_type() == at::kFloat;
    if (!x.device().is_cpu() || !is_float || x.dim() < 2 || x.numel() == 0 || weight.dim() != 2) return nullptr;
    // If the sizes do not match, ATen reports the error.
    if (x.size(-1) != weight.size(1)) return nullptr;
    if (bias.defined() && (bias.scalar_type() != at::kFloat || bias.dim() != 1)) return nullptr;
    // The function returns a matrix that is not a view: the next layer may change it in place.
    const auto y = OnednnLinear::apply(x.reshape({-1, weight.size(1)}), weight, optional(bias));
    if (x.dim() == 2) return to_pointer(y);
    auto size = x.sizes().vec();
    size.back() = weight.size(0);
    return to_pointer(y.view(size));
}

}  // namespace torchmill
