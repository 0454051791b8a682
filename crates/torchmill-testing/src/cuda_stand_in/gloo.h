// Gloo's allreduce of device tensors, for several processes on GPUs. libtorch_cpu.so has
// Gloo's other operations, and looks this one up in a registry.
#pragma once

#define USE_C10D_GLOO
#include <ATen/ops/empty_strided.h>
#include <c10/util/Registry.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

namespace c10d {
// As in ProcessGroupGlooDetail.hpp, which includes headers of Gloo that libtorch lacks.
TORCH_DECLARE_TYPED_REGISTRY(GlooAllreduceRegistry, c10::DeviceType,
                             ProcessGroupGloo::AsyncWork, c10::intrusive_ptr,
                             std::shared_ptr<gloo::Context>, std::vector<at::Tensor>&,
                             ReduceOp, uint32_t, uint64_t, std::chrono::milliseconds);
}  // namespace c10d

namespace stand_in {

// As with libtorch_cuda.so, the tensors are copied to pinned memory, reduced there on one
// of Gloo's threads, and copied back. Nothing waits for the device.
struct Allreduce final : c10d::ProcessGroupGloo::AsyncWork {
    std::vector<at::Tensor> tensors, copies;
    c10::intrusive_ptr<AsyncWork> reduce_copies;

    Allreduce(std::shared_ptr<gloo::Context> context, std::vector<at::Tensor>& given,
              c10d::ReduceOp op, uint32_t tag, uint64_t number,
              std::chrono::milliseconds timeout)
        : AsyncWork(context, {given}, c10d::OpType::ALLREDUCE, number, timeout,
                    "gloo:all_reduce", given),
          tensors(given) {
        for (const auto& tensor : tensors) {
            const auto pinned = tensor.options().device(c10::kCPU).pinned_memory(true);
            copies.push_back(
                at::empty_strided(tensor.sizes(), tensor.strides(), pinned));
            copies.back().copy_(tensor, /*non_blocking=*/true);
        }
        reduce_copies = c10d::GlooAllreduceRegistry()->Create(
            c10::kCPU, std::move(context), copies, op, tag, number, timeout);
    }
    void run() override {
        reduce_copies->run();
        for (size_t i = 0; i < tensors.size(); i++)
            tensors[i].copy_(copies[i], /*non_blocking=*/true);
    }
    const std::vector<at::Tensor> getInputTensors() override { return tensors; }
    const std::vector<at::Tensor> getOutputTensors() override { return tensors; }
};

inline c10::intrusive_ptr<c10d::ProcessGroupGloo::AsyncWork> allreduce(
    std::shared_ptr<gloo::Context> context, std::vector<at::Tensor>& tensors,
    c10d::ReduceOp op, uint32_t tag, uint64_t number, std::chrono::milliseconds timeout) {
    return c10::make_intrusive<Allreduce>(std::move(context), tensors, op, tag, number,
                                          timeout);
}

}  // namespace stand_in

namespace c10d {
C10_REGISTER_TYPED_CREATOR(GlooAllreduceRegistry, c10::kCUDA, stand_in::allreduce)
}  // namespace c10d
