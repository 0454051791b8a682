// torch.amp.GradScaler's unscale_, for loss_scale.rs. tch does not bind its operator.
#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/reciprocal.h>

#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"

namespace torchmill {

void unscale(const TensorList& gradients, const at::Tensor& scale, const at::Tensor& overflow) {
    // In float64, as in GradScaler.
    const at::Tensor inverse = scale.to(at::kDouble).reciprocal().to(at::kFloat);
    at::Tensor flag = overflow;
    at::_amp_foreach_non_finite_check_and_unscale_(gradients.tensors, flag, inverse);
}

}  // namespace torchmill
