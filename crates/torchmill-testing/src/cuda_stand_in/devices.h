// The parts of CUDA other than kernels that libtorch needs: devices, streams and random
// number generators. Each device has one stream, and all work is synchronous.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "memory.h"

namespace stand_in {

using c10::Device, c10::DeviceIndex, c10::Stream;

struct Guard final : c10::impl::DeviceGuardImplInterface {
    static Stream stream(Device device) { return Stream(Stream::DEFAULT, device); }
    c10::DeviceType type() const override { return c10::kCUDA; }
    DeviceIndex deviceCount() const noexcept override { return DEVICE_COUNT; }
    Device getDevice() const override { return cuda(current_device); }
    void uncheckedSetDevice(Device device) const noexcept override {
        current_device = device.index();
    }
    void setDevice(Device device) const override {
        const bool exists = device.index() >= 0 && device.index() < DEVICE_COUNT;
        TORCH_CHECK(exists, "CUDA error: invalid device ordinal");
        current_device = device.index();
    }
    Device exchangeDevice(Device device) const override {
        const auto before = getDevice();
        setDevice(device);
        return before;
    }
    Stream getStream(Device device) const override { return stream(device); }
    Stream getDefaultStream(Device device) const override { return stream(device); }
    Stream getStreamFromGlobalPool(Device device, bool) const override {
        return stream(device);
    }
    Stream exchangeStream(Stream stream) const override { return stream; }
    void record(void**, const Stream&, const DeviceIndex,
                const c10::EventFlag) const override {}
    void block(void*, const Stream&) const override {}
    bool queryEvent(void*) const override { return true; }
    bool queryStream(const Stream&) const override { return true; }
    void synchronizeStream(const Stream&) const override { log("wait", "for a stream"); }
    void synchronizeEvent(void*) const override { log("wait", "for an event"); }
    void synchronizeDevice(const DeviceIndex) const override {
        log("wait", "for a device");
    }
};

// A device's random numbers come from a CPU generator.
struct Generator final : c10::GeneratorImpl {
    at::Generator cpu;

    explicit Generator(DeviceIndex index,
                       at::Generator cpu = at::detail::createCPUGenerator())
        : GeneratorImpl(cuda(index), c10::DispatchKeySet(c10::DispatchKey::CUDA)),
          cpu(std::move(cpu)) {}
    void set_current_seed(uint64_t seed) override {
        log("seed", seed, "on", device());
        cpu.set_current_seed(seed);
    }
    void set_offset(uint64_t offset) override { cpu.set_offset(offset); }
    uint64_t get_offset() const override { return cpu.get_offset(); }
    uint64_t current_seed() const override { return cpu.current_seed(); }
    uint64_t seed() override { return cpu.seed(); }
    void set_state(const c10::TensorImpl& state) override {
        cpu.unsafeGetGeneratorImpl()->set_state(state);
    }
    c10::intrusive_ptr<c10::TensorImpl> get_state() const override {
        return cpu.unsafeGetGeneratorImpl()->get_state();
    }
    Generator* clone_impl() const override {
        return new Generator(device().index(), cpu.clone());
    }
};

// The default generator of a device; -1 is the current one.
inline const at::Generator& default_generator(DeviceIndex index) {
    static const auto all = [] {
        std::vector<at::Generator> all;
        for (DeviceIndex i = 0; i < DEVICE_COUNT; i++)
            all.push_back(at::make_generator<Generator>(i));
        return all;
    }();
    return all.at(index < 0 ? current_device : index);
}

// libtorch looks this class up by name.
struct CUDAHooks final : at::CUDAHooksInterface {
    explicit CUDAHooks(at::CUDAHooksArgs) {}
    void init() const override {}
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return DEVICE_COUNT > 0; }
    bool hasPrimaryContext(DeviceIndex) const override { return true; }
    bool hasCUDA() const override { return true; }
    int getNumGPUs() const override { return DEVICE_COUNT; }
    DeviceIndex deviceCount() const override { return DEVICE_COUNT; }
    DeviceIndex current_device() const override { return stand_in::current_device; }
    DeviceIndex getCurrentDevice() const override { return stand_in::current_device; }
    void setCurrentDevice(DeviceIndex index) const override {
        Guard().setDevice(cuda(index));
    }
    DeviceIndex exchangeDevice(DeviceIndex index) const override {
        return Guard().exchangeDevice(cuda(index)).index();
    }
    DeviceIndex maybeExchangeDevice(DeviceIndex index) const override {
        return index < 0 ? current_device() : exchangeDevice(index);
    }
    void deviceSynchronize(DeviceIndex index) const override {
        Guard().synchronizeDevice(index);
    }
    const at::Generator& getDefaultGenerator(DeviceIndex index) const override {
        return default_generator(index);
    }
    at::Generator getNewGenerator(DeviceIndex index) const override {
        return at::make_generator<Generator>(index);
    }
    c10::Allocator* getPinnedMemoryAllocator() const override { return &pinned_memory; }
    bool isPinnedPtr(const void* address) const override {
        return PinnedMemory::holds(address);
    }
    Device getDeviceFromPtr(void* address) const override {
        return cuda(device_of(address));
    }
};

}  // namespace stand_in
