// What our files of C++ share.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstring>
#include <exception>

// The layout of batches.
const auto LAYOUT = at::MemoryFormat::ChannelsLast;

// So many elements at least for a thread, as everywhere in ATen.
const int64_t GRAIN = 32768;

// Whether our kernels take a tensor: float32 or bfloat16 [N, C, H, W] in channels-last layout on the CPU, not empty.
inline bool taken(const at::Tensor& x) {
    const auto kind = x.scalar_type();
    return x.device().is_cpu() && x.dim() == 4 && (kind == at::kFloat || kind == at::kBFloat16) &&
           x.is_contiguous(LAYOUT) && x.numel() > 0;
}

// Null, or what libtorch threw, to be freed.
template <typename Work>
char* caught(const Work& work) {
    try {
        work();
        return nullptr;
    } catch (const std::exception& e) {
        return strdup(e.what());
    }
}

// The tensor that `work` gives; or null with *error set, where libtorch throws: what cpp.rs takes back.
template <typename Work>
at::Tensor* made(char** error, const Work& work) {
    at::Tensor* tensor = nullptr;
    *error = caught([&] { tensor = new at::Tensor(work()); });
    return tensor;
}
