// torch.optim's fused steps, for fused_optimizer.rs. tch does not bind them.
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>

#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"

namespace torchmill {

std::unique_ptr<TensorList> tensor_list() { return std::make_unique<TensorList>(); }

void push(TensorList& list, const at::Tensor& tensor) { list.tensors.push_back(tensor); }

void fused_sgd(
    const TensorList& parameters, const TensorList& gradients, const TensorList& momenta, const at::Tensor& overflow,
    const Sgd& s) {
    at::_fused_sgd_(
        parameters.tensors, gradients.tensors, momenta.tensors, s.weight_decay, s.momentum, s.lr, s.dampening,
        s.nesterov, /*maximize=*/false, s.first, /*grad_scale=*/std::nullopt, optional(overflow));
}

void fused_adam(
    const TensorList& parameters, const TensorList& gradients, const TensorList& means, const TensorList& squares,
    const TensorList& largest_squares, const at::Tensor& step, const at::Tensor& overflow, const Adam& s) {
    // The kernel expects a step count for each parameter. All are the same.
    const std::vector<at::Tensor> steps(parameters.tensors.size(), step);
    if (s.decoupled) {
        at::_fused_adamw_(
            parameters.tensors, gradients.tensors, means.tensors, squares.tensors, largest_squares.tensors, steps, s.lr,
            s.beta1, s.beta2, s.weight_decay, s.eps, s.amsgrad, /*maximize=*/false, /*grad_scale=*/std::nullopt,
            optional(overflow));
    } else {
        at::_fused_adam_(
            parameters.tensors, gradients.tensors, means.tensors, squares.tensors, largest_squares.tensors, steps, s.lr,
            s.beta1, s.beta2, s.weight_decay, s.eps, s.amsgrad, /*maximize=*/false, /*grad_scale=*/std::nullopt,
            optional(overflow));
    }
}

}  // namespace torchmill
