// The functions in distributed.cpp that bridge.rs declares.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "rust/cxx.h"
#include "torchmill-nn/src/kernel/kernels.h"

namespace torchmill {

// Generated from bridge.rs.
struct StoreOptions;
struct GroupOptions;

// c10d's objects. Only distributed.cpp includes c10d's headers.
struct Store {
    struct Inner;
    std::shared_ptr<Inner> inner;
};
struct ProcessGroup {
    struct Inner;
    std::shared_ptr<Inner> inner;
};
struct Reducer {
    struct Inner;
    std::shared_ptr<Inner> inner;
};

void set_log_level();
std::unique_ptr<Store> open_store(const StoreOptions& options);
std::unique_ptr<Store> hash_store(int64_t timeout_ms);
void store_set(const Store& store, rust::Str key, rust::Str value);
bool store_get(const Store& store, rust::Str key, rust::String& value);

std::unique_ptr<ProcessGroup> open_group(const Store& store, const GroupOptions& options);
void add_nccl(const ProcessGroup& group, const Store& store, const GroupOptions& options, rust::Str library);
std::unique_ptr<ProcessGroup> share_group(const ProcessGroup& group);
void all_reduce_sum(const ProcessGroup& group, const at::Tensor& tensor);
void all_reduce_max(const ProcessGroup& group, const at::Tensor& tensor);
void all_gather(const ProcessGroup& group, const at::Tensor& own, const TensorList& all);
void broadcast(const ProcessGroup& group, const TensorList& tensors);
void barrier(const ProcessGroup& group);

std::unique_ptr<Reducer> open_reducer(const ProcessGroup& group, const TensorList& parameters);
void prepare_for_forward(const Reducer& reducer, bool reduces);
void prepare_for_backward(const Reducer& reducer);
void check_finalized(const Reducer& reducer);
void backward(const at::Tensor& loss);
std::unique_ptr<at::Tensor> take_gradient(const at::Tensor& parameter);

}  // namespace torchmill
