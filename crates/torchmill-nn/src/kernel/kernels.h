// What the kernels' C++ files share, and the functions that bridge.rs declares.
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "division.h"
#include "rust/cxx.h"

namespace torchmill {

struct TensorList {
    std::vector<at::Tensor> tensors;
};

// Generated from bridge.rs.
struct BatchNormOptions;
struct ConvPlan;
struct Sgd;
struct Adam;
struct NewtonSchulz;
enum class Products : uint8_t;

// A kernel returns null if it does not support its input. Optional tensors that are absent are undefined.
std::unique_ptr<at::Tensor> max_pool2d(const at::Tensor& x, int64_t kernel_height, int64_t kernel_width);
std::unique_ptr<at::Tensor> gate(const at::Tensor& x, const at::Tensor& factors);
std::unique_ptr<at::Tensor> gelu(const at::Tensor& x);
std::unique_ptr<at::Tensor> batch_norm(
    const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual,
    const at::Tensor& running_mean, const at::Tensor& running_var, const BatchNormOptions& options);
std::unique_ptr<at::Tensor> conv2d(
    const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const ConvPlan& plan);
std::unique_ptr<at::Tensor> depthwise_conv2d(
    const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, std::array<int64_t, 2> stride,
    std::array<int64_t, 2> padding);
std::unique_ptr<at::Tensor> conv_pool(
    const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t padding_height,
    int64_t padding_width);

void use_single_thread();

std::unique_ptr<TensorList> tensor_list();
void push(TensorList& list, const at::Tensor& tensor);
void fused_sgd(
    const TensorList& parameters, const TensorList& gradients, const TensorList& momenta, const at::Tensor& overflow,
    const Sgd& settings);
void fused_adam(
    const TensorList& parameters, const TensorList& gradients, const TensorList& means, const TensorList& squares,
    const TensorList& largest_squares, const at::Tensor& step, const at::Tensor& overflow, const Adam& settings);
void unscale(const TensorList& gradients, const at::Tensor& scale, const at::Tensor& overflow);
std::unique_ptr<at::Tensor> linear(
    const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Products products);
std::unique_ptr<at::Tensor> newton_schulz(const at::Tensor& matrix, const NewtonSchulz& settings);

// a [M, K] times b [K, N], plus bias [N]. Without autograd. Only float32 products may be computed by another library than
// ATen's.
at::Tensor product(
    const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& bias, Products products);

// The same in a dense matrix.
void product_into(
    at::Tensor& result, const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& bias,
    Products products);

// Whether our kernel for AMX computes such a product faster than ATen's library.
bool amx_multiplies(int64_t rows, int64_t depth, int64_t columns);

// The memory format of batches.
constexpr auto CHANNELS_LAST = at::MemoryFormat::ChannelsLast;

// The smallest number of elements worth a thread, as in ATen.
constexpr int64_t GRAIN = 32768;

// Whether the kernels support a tensor: not empty, float32 or bfloat16, [N, C, H, W] in channels-last layout on the CPU.
inline bool is_supported(const at::Tensor& x) {
    const auto kind = x.scalar_type();
    return x.device().is_cpu() && x.dim() == 4 && (kind == at::kFloat || kind == at::kBFloat16) &&
           x.is_contiguous(CHANNELS_LAST) && x.numel() > 0;
}

// Calls work with a zero of the Rust loops' element type for a tensor: float, or a bfloat16's bits.
template <typename Work>
void for_element_type(const at::Tensor& x, const Work& work) {
    if (x.scalar_type() == at::kBFloat16) {
        work(uint16_t(0));
    } else {
        work(0.0f);
    }
}

// The elements of a tensor; null if it is undefined.
template <typename T>
const T* elements(const at::Tensor& t) {
    return t.defined() ? static_cast<const T*>(t.const_data_ptr()) : nullptr;
}
template <typename T>
T* mutable_elements(const at::Tensor& t) {
    return t.defined() ? static_cast<T*>(t.mutable_data_ptr()) : nullptr;
}

// `count` elements of a dense tensor, from `start`.
template <typename T>
rust::Slice<const T> read_slice(const at::Tensor& t, size_t start, size_t count) {
    return {elements<T>(t) + start, count};
}
template <typename T>
rust::Slice<T> write_slice(const at::Tensor& t, size_t start, size_t count) {
    return {mutable_elements<T>(t) + start, count};
}

// `count` images of a dense tensor [N, ...], from image `first`.
template <typename T>
rust::Slice<const T> read_images(const at::Tensor& t, size_t first, size_t count) {
    const size_t elements = t.numel() / t.size(0);
    return read_slice<T>(t, first * elements, count * elements);
}
template <typename T>
rust::Slice<T> write_images(const at::Tensor& t, size_t first, size_t count) {
    const size_t elements = t.numel() / t.size(0);
    return write_slice<T>(t, first * elements, count * elements);
}

// Calls work(first, count) for ranges of the images of a tensor [N, ...], on libtorch's threads.
template <typename Work>
void for_images(const at::Tensor& x, const Work& work) {
    const int64_t elements = x.numel() / x.size(0);
    const int64_t grain = std::max<int64_t>(1, GRAIN / elements);
    at::parallel_for(0, x.size(0), grain, [&](int64_t first, int64_t end) { work(size_t(first), size_t(end - first)); });
}

inline std::optional<at::Tensor> optional(const at::Tensor& t) {
    return t.defined() ? std::make_optional(t) : std::nullopt;
}

inline std::unique_ptr<at::Tensor> to_pointer(at::Tensor t) { return std::make_unique<at::Tensor>(std::move(t)); }

}  // namespace torchmill
