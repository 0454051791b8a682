// A stand-in for libtorch_cuda.so, for tests on machines without a GPU.
//
// It registers with libtorch's CPU library what libtorch_cuda.so registers, but computes
// with the CPU's kernels. So the code paths for a GPU can be tested: which tensors meet on
// which device, what is copied and when, what the program waits for, and what it does when
// memory runs out. It cannot show the effects of parallel work and of CUDA's own kernels:
// streams, speed, cuDNN's results, operators that CUDA lacks.
//
// Environment:
//   CUDA_STAND_IN_DEVICES  the number of devices [2]
//   CUDA_STAND_IN_MEMORY   the memory of each device in bytes [unlimited]
//   CUDA_STAND_IN_FAIL_AT  the number of an allocation that fails, counted from 1 [none]
//   CUDA_STAND_IN_LOG      a file for the event log; see log.h
#include <ATen/EmptyTensor.h>
#include <ATen/core/op_registration/adaption.h>
#include <ATen/native/Copy.h>
#include <ATen/native/TensorIterator.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/native_dropout_native.h>
#include <torch/library.h>

#include <set>

#include "devices.h"
#include "gloo.h"

namespace stand_in {

using at::Tensor;
using c10::DispatchKey, c10::DispatchKeySet, c10::IValue;

const DispatchKeySet CUDA_KEY(DispatchKey::CUDA), CPU_KEY(DispatchKey::CPU);

C10_REGISTER_GUARD_IMPL(CUDA, Guard)

using at::CUDAHooksRegistry, at::RegistererCUDAHooksRegistry;
REGISTER_CUDA_HOOKS(CUDAHooks)

// A CPU tensor over the same memory.
Tensor on_host(const Tensor& tensor) {
    if (!tensor.is_cuda()) return tensor;
    c10::DataPtr memory(host_address(tensor.storage().data()), c10::kCPU);
    c10::Storage storage({}, tensor.storage().nbytes(), std::move(memory),
                         c10::GetAllocator(c10::kCPU), true);
    auto twin = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), CPU_KEY,
                                                         tensor.dtype());
    twin.unsafeGetTensorImpl()->set_sizes_and_strides(tensor.sizes(), tensor.strides(),
                                                      tensor.storage_offset());
    return twin;
}

// A copy of a CPU tensor on the current device, in the same layout if it is dense.
Tensor on_device(const Tensor& tensor) {
    const bool is_dense = tensor.unsafeGetTensorImpl()->is_non_overlapping_and_dense();
    const Tensor dense = is_dense ? tensor : tensor.contiguous();
    const Tensor copy = at::detail::empty_strided_generic(
        dense.sizes(), dense.strides(), &device_memory, CUDA_KEY, dense.scalar_type());
    device_memory.copy_data(copy.data_ptr(), dense.data_ptr(), dense.nbytes());
    return copy;
}

// Replaces each tensor in a value with the result of `change`.
template <typename Change>
void for_each_tensor(IValue& value, const Change& change) {
    if (value.isTensor()) {
        value = change(value.toTensor());
    } else if (value.isTensorList()) {
        auto list = value.toTensorVector();
        for (auto& tensor : list) tensor = change(tensor);
        value = list;
    } else if (value.isOptionalTensorList()) {
        auto list = value.toOptionalTensorVector();
        for (auto& tensor : list)
            if (tensor) tensor = change(*tensor);
        value = list;
    }
}

// The operators that wait for the device, because the shape or value of their result
// depends on the contents of device memory.
const std::set<std::string> WAITING_OPERATORS = {
    "aten::_local_scalar_dense", "aten::_unique2",           "aten::bincount",
    "aten::equal",               "aten::nonzero",            "aten::masked_select",
    "aten::repeat_interleave",   "aten::unique_dim"};

// The operators that accept indices on the CPU.
const std::set<std::string> INDEX_OPERATORS = {"aten::index", "aten::index_put_",
                                               "aten::_index_put_impl_"};

// A device tensor and the CPU tensor over its memory.
using Twins = std::vector<std::pair<Tensor, Tensor>>;

// Replaces an operator's device tensors with CPU tensors, and returns both. As with
// libtorch_cuda.so, all arguments must be on one device, which is stored in `device`.
// Elementwise operators also accept single numbers from the CPU.
Twins to_host(const c10::FunctionSchema& schema, bool is_pointwise, IValue* arguments,
              std::optional<Device>& device) {
    const auto& name = schema.name();
    Twins twins;
    for (size_t i = 0; i < schema.arguments().size(); i++) {
        for_each_tensor(arguments[i], [&](const Tensor& tensor) {
            if (!tensor.defined()) return tensor;
            const bool is_number = tensor.dim() == 0 && is_pointwise;
            const bool may_be_cpu = is_number || INDEX_OPERATORS.count(name);
            if (tensor.is_cpu() && may_be_cpu) return tensor;
            c10::impl::check_and_update_common_device(
                device, tensor, name.c_str(), schema.arguments()[i].name().c_str());
            if (!tensor.is_cuda()) return tensor;
            return twins.emplace_back(tensor, on_host(tensor)).second;
        });
    }
    return twins;
}

// Replaces a generator argument with the device's CPU generator.
void take_cpu_generator(const c10::FunctionSchema& schema, IValue* arguments,
                        Device device) {
    for (size_t i = 0; i < schema.arguments().size(); i++) {
        const auto type = schema.arguments()[i].type()->str();
        if (type.find("Generator") == std::string::npos) continue;
        const auto given = arguments[i].isNone() ? default_generator(device.index())
                                                 : arguments[i].toGenerator();
        arguments[i] = given.get<Generator>()->cpu;
    }
}

// Resizes the device tensors that a kernel has resized.
void follow_resized(const Twins& twins) {
    for (const auto& [ours, twin] : twins) {
        const bool same_memory =
            host_address(ours.storage().data()) == twin.storage().data();
        if (same_memory && ours.sizes() == twin.sizes()) continue;
        const Tensor resized = on_device(twin);
        ours.storage().set_data_ptr_noswap(
            std::move(resized.storage().mutable_data_ptr()));
        ours.storage().set_nbytes(resized.storage().nbytes());
        ours.unsafeGetTensorImpl()->set_sizes_and_strides(resized.sizes(),
                                                          resized.strides(), 0);
    }
}

// A kernel's result on the device: an argument, a view of an argument, or a new tensor.
Tensor result_on_device(const Twins& twins, const Tensor& result) {
    if (!result.defined()) return result;
    for (const auto& [ours, twin] : twins) {
        if (twin.is_same(result)) return ours;
        const void* memory = result.storage().data();
        if (memory && memory == twin.storage().data())
            return at::native::as_strided_tensorimpl(
                ours, result.sizes(), result.strides(), result.storage_offset());
    }
    return on_device(result);
}

// Runs the CPU kernel of any operator on device memory.
void run_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
    const auto& schema = op.schema();
    IValue* arguments = stack->data() + stack->size() - schema.arguments().size();
    std::optional<Device> device;
    const bool is_pointwise = op.hasTag(at::Tag::pointwise);
    const Twins twins = to_host(schema, is_pointwise, arguments, device);
    TORCH_CHECK_NOT_IMPLEMENTED(device && device->is_cuda(), op.operator_name(),
                                " got no tensor on a CUDA device");
    take_cpu_generator(schema, arguments, *device);
    const bool waits = WAITING_OPERATORS.count(schema.name());
    log(waits ? "wait" : "kernel", op.operator_name(), "on", *device);
    const c10::DeviceGuard guard(*device);
    op.redispatchBoxed(CPU_KEY, stack);
    follow_resized(twins);
    IValue* results = stack->data() + stack->size() - schema.returns().size();
    for (size_t i = 0; i < schema.returns().size(); i++)
        for_each_tensor(results[i], [&](const Tensor& result) {
            return result_on_device(twins, result);
        });
}

// Copies between devices and within one. A copy between a device and the host is
// asynchronous only if it may be (`non_blocking`) and the host's memory is pinned.
void copy(at::TensorIterator& iter, bool non_blocking) {
    const Tensor to = iter.tensor(0), from = iter.tensor(1);
    const bool with_host = to.is_cpu() || from.is_cpu();
    const Tensor& on_cpu = to.is_cpu() ? to : from;
    const bool is_pinned = with_host && PinnedMemory::holds(on_cpu.storage().data());
    const bool waits = with_host && !(non_blocking && is_pinned);
    log(waits ? "wait" : "copy", from.nbytes(), "bytes from", from.device(), "to",
        to.device());
    on_host(to).copy_(on_host(from));
}

Tensor empty(c10::IntArrayRef size, std::optional<c10::ScalarType> kind,
             std::optional<c10::Layout>, std::optional<Device> device,
             std::optional<bool>, std::optional<c10::MemoryFormat> layout) {
    const c10::DeviceGuard guard(*device);
    return at::detail::empty_generic(size, &device_memory, CUDA_KEY,
                                     c10::dtype_or_default(kind), layout);
}

Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef strides,
                     std::optional<c10::ScalarType> kind, std::optional<c10::Layout>,
                     std::optional<Device> device, std::optional<bool>) {
    const c10::DeviceGuard guard(*device);
    return at::detail::empty_strided_generic(size, strides, &device_memory, CUDA_KEY,
                                             c10::dtype_or_default(kind));
}

TORCH_LIBRARY_IMPL(_, CUDA, library) {
    library.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
}

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
    library.impl("empty.memory_format", empty);
    library.impl("empty_strided", empty_strided);
    // It consists of kernels that draw from the device's generator.
    library.impl("native_dropout", at::native::native_dropout_cpu);
    // libtorch would choose one of CUDA's convolutions before it gets here. The loss would
    // resize an output and print a warning.
    for (const char* name : {"convolution", "convolution_backward", "mse_loss"})
        library.impl(name, torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
}

}  // namespace stand_in

namespace at::native {
REGISTER_CUDA_DISPATCH(copy_stub, &stand_in::copy)
}  // namespace at::native
