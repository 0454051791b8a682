// Products of matrices by the fastest library.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "amx_product.h"
#include "amx_tiles.h"
#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"

namespace torchmill {
namespace {

// x times the transpose of weight, in float32.
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

// The same matrix, copied if neither its rows nor its columns are dense.
at::Tensor with_dense_lines(const at::Tensor& matrix) {
    return matrix.stride(0) == 1 || matrix.stride(1) == 1 ? matrix : matrix.contiguous();
}

AmxMatrix amx_matrix(const at::Tensor& t) {
    return {t.const_data_ptr<float>(), t.size(0), t.size(1), t.stride(0), t.stride(1)};
}

bool is_for_amx(const at::Tensor& a, const at::Tensor& b, Products products) {
    return products == Products::Amx && a.scalar_type() == at::kFloat && amx_multiplies(a.size(0), a.size(1), b.size(1));
}

void amx_product_into(
    at::Tensor& result, const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& bias) {
    const auto left = with_dense_lines(a), right = with_dense_lines(b);
    const auto added = bias.has_value() ? bias->contiguous() : at::Tensor();
    amx_product(
        amx_matrix(left), amx_matrix(right), added.defined() ? added.const_data_ptr<float>() : nullptr,
        result.mutable_data_ptr<float>());
}

}  // namespace

bool amx_multiplies(int64_t rows, int64_t depth, int64_t columns) {
    // Arranging the matrices takes time, which pays off if each element has part in many products.
    constexpr int64_t LEAST = 145;
    const int64_t elements = rows * depth + depth * columns + rows * columns;
    return rows * depth * columns >= LEAST * elements && amx_is_usable();
}

at::Tensor product(
    const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& bias, Products products) {
    if (products == Products::OneDnn && a.scalar_type() == at::kFloat) return onednn_linear(a, b.t(), bias);
    auto result = at::empty({a.size(0), b.size(1)}, a.options());
    product_into(result, a, b, bias, products);
    return result;
}

void product_into(
    at::Tensor& result, const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& bias,
    Products products) {
    if (is_for_amx(a, b, products)) {
        amx_product_into(result, a, b, bias);
    } else if (bias.has_value()) {
        at::addmm_out(result, *bias, a, b);
    } else {
        at::mm_out(result, a, b);
    }
}

}  // namespace torchmill
