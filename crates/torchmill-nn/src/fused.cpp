// torch.optim's fused steps, which tch does not bind, for fused.rs.
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>

#include <vector>

#include "cpp.h"

// As in fused.rs.
struct Sgd {
    double lr, momentum, dampening, weight_decay;
    bool nesterov, first;
};
struct Adam {
    double lr, beta1, beta2, eps, weight_decay;
    bool amsgrad, decoupled;
};

namespace {

// `count` tensors, or none where there is no array.
std::vector<at::Tensor> list(size_t count, at::Tensor* const* tensors) {
    std::vector<at::Tensor> result;
    for (size_t i = 0; tensors != nullptr && i < count; i++) result.push_back(*tensors[i]);
    return result;
}

}  // namespace

extern "C" char* torchmill_fused_sgd(
    size_t count, at::Tensor* const* parameters, at::Tensor* const* gradients, at::Tensor* const* momenta,
    const Sgd* s) {
    return caught([&] {
        at::_fused_sgd_(
            list(count, parameters), list(count, gradients), list(count, momenta), s->weight_decay, s->momentum, s->lr,
            s->dampening, s->nesterov, /*maximize=*/false, s->first);
    });
}

extern "C" char* torchmill_fused_adam(
    size_t count, at::Tensor* const* parameters, at::Tensor* const* gradients, at::Tensor* const* means,
    at::Tensor* const* squares, at::Tensor* const* largest, const at::Tensor* step, const Adam* s) {
    return caught([&] {
        const auto parameter = list(count, parameters), gradient = list(count, gradients), mean = list(count, means),
                   square = list(count, squares), most = list(count, largest);
        // They are only read: every parameter has made as many.
        const std::vector<at::Tensor> steps(count, *step);
        if (s->decoupled) {
            at::_fused_adamw_(
                parameter, gradient, mean, square, most, steps, s->lr, s->beta1, s->beta2, s->weight_decay, s->eps,
                s->amsgrad, /*maximize=*/false);
        } else {
            at::_fused_adam_(
                parameter, gradient, mean, square, most, steps, s->lr, s->beta1, s->beta2, s->weight_decay, s->eps,
                s->amsgrad, /*maximize=*/false);
        }
    });
}
