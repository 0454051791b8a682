// Matrix products with factors, for newton_schulz.rs. tch does not bind them.
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"

namespace torchmill {

std::unique_ptr<at::Tensor> newton_schulz(const at::Tensor& matrix, const NewtonSchulz& s) {
    // A copy, because the division in place would change the caller's matrix.
    at::Tensor x = matrix.to(s.bf16 ? at::kBFloat16 : at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    const bool is_tall = x.size(0) > x.size(1);
    if (is_tall) {
        x = x.t();
    }
    // The largest singular value is then at most 1.
    x.div_(x.norm().clamp_min(s.eps));
    for (int64_t step = 0; step < s.steps; ++step) {
        const at::Tensor gram = at::mm(x, x.t());
        const at::Tensor update = at::addmm(gram, gram, gram, s.b, s.c);
        x = at::addmm(x, update, x, s.a);
    }
    return to_pointer(is_tall ? x.t() : x);
}

}  // namespace torchmill
