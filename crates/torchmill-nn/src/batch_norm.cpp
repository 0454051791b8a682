// How the batch norm of batch_norm.rs enters autograd, which takes custom functions from C++ alone.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpp.h"

// As in batch_norm.rs.
struct Tensors {
    const at::Tensor *x, *weight, *bias, *plus, *running_mean, *running_var;
};
struct Block {
    size_t pixels, channels;
    bool bf16, relu;
};
struct Factors {
    const float *mean, *scale, *slope, *offset;
};
extern "C" void torchmill_batch_norm_statistics(const Block*, const void* x, float* mean, float* squares);
extern "C" void torchmill_batch_norm_forward(
    const Block*, const void* x, const void* plus, const float* scale, const float* shift, void* y);
extern "C" void torchmill_batch_norm_sums(
    const Block*, const void* x, const void* y, const void* gradient, const float* mean, float* sum, float* dot);
extern "C" void torchmill_batch_norm_backward(
    const Block*, const void* x, const void* y, const void* gradient, const Factors*, void* of_x, void* of_plus);

namespace {

// What a forward pass takes beside what has gradients.
struct Settings {
    // Undefined where none are kept.
    at::Tensor running_mean, running_var;
    double momentum, eps;
    bool relu;
};

// The pixels of [N, C, H, W] in channels-last layout, in blocks of 16 KiB where those have 16 pixels or more.
struct Pixels {
    size_t count, channels, element, in_block;
    bool bf16, relu;

    Pixels(const at::Tensor& x, bool relu)
        : count(x.numel() / x.size(1)), channels(x.size(1)), element(x.element_size()),
          in_block(std::max<size_t>(16, 16384 / (channels * element))), bf16(x.scalar_type() == at::kBFloat16),
          relu(relu) {}

    size_t blocks() const { return (count + in_block - 1) / in_block; }
    size_t size_of(size_t block) const { return std::min(in_block, count - block * in_block); }

    // Where a block of a tensor of this shape begins.
    const void* at(size_t block, const at::Tensor& t) const {
        return t.defined() ? static_cast<const char*>(t.const_data_ptr()) + block * in_block * channels * element
                           : nullptr;
    }
    void* at(size_t block, at::Tensor& t) const {
        return t.defined() ? static_cast<char*>(t.data_ptr()) + block * in_block * channels * element : nullptr;
    }

    // Calls work(number, block) for every block, in libtorch's threads.
    template <typename Work>
    void for_blocks(const Work& work) const {
        const int64_t grain = std::max<int64_t>(1, GRAIN / (in_block * channels));
        at::parallel_for(0, blocks(), grain, [&](int64_t first, int64_t end) {
            for (int64_t number = first; number < end; number++) {
                const Block block{size_of(number), channels, bf16, relu};
                work(number, block);
            }
        });
    }
};

// Two floats for each channel of each block.
struct Partial {
    std::vector<float> values;
    size_t channels;
    explicit Partial(const Pixels& p) : values(p.blocks() * p.channels * 2), channels(p.channels) {}
    float* first(size_t block) { return values.data() + block * channels * 2; }
    float* second(size_t block) { return first(block) + channels; }
};

float* floats(at::Tensor& t) { return t.data_ptr<float>(); }
const float* floats(const at::Tensor& t) { return t.const_data_ptr<float>(); }

struct BatchNorm : torch::autograd::Function<BatchNorm> {
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, const std::optional<at::Tensor>& weight,
        const std::optional<at::Tensor>& bias, const std::optional<at::Tensor>& plus, Settings settings) {
        const Pixels pixels(x, settings.relu);
        Partial partial(pixels);
        pixels.for_blocks([&](size_t number, const Block& block) {
            torchmill_batch_norm_statistics(
                &block, pixels.at(number, x), partial.first(number), partial.second(number));
        });
        const size_t channels = pixels.channels;
        const double count = pixels.count;
        // T. F. Chan et al., "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.
        std::vector<double> means(channels), squares(channels);
        double before = 0;
        for (size_t number = 0; number < pixels.blocks(); number++) {
            const double here = pixels.size_of(number), both = before + here;
            const float *mean = partial.first(number), *square = partial.second(number);
            for (size_t c = 0; c < channels; c++) {
                const double apart = mean[c] - means[c];
                means[c] += apart * (here / both);
                squares[c] += square[c] + apart * apart * (before * here / both);
            }
            before = both;
        }
        auto mean = at::empty({int64_t(channels)}, x.options().dtype(at::kFloat));
        auto inverse = at::empty_like(mean), scale = at::empty_like(mean), shift = at::empty_like(mean);
        for (size_t c = 0; c < channels; c++) {
            const double root = 1 / std::sqrt(squares[c] / count + settings.eps);
            floats(mean)[c] = means[c];
            floats(inverse)[c] = root;
            const float factor = weight.has_value() ? root * floats(*weight)[c] : root;
            floats(scale)[c] = factor;
            floats(shift)[c] = (bias.has_value() ? floats(*bias)[c] : 0) - means[c] * factor;
            if (settings.running_mean.defined()) {
                const double momentum = settings.momentum;
                float &m = floats(settings.running_mean)[c], &v = floats(settings.running_var)[c];
                m = momentum * means[c] + (1 - momentum) * m;
                v = momentum * (squares[c] / (count - 1)) + (1 - momentum) * v;
            }
        }
        auto y = at::empty_like(x, x.options().memory_format(LAYOUT));
        const at::Tensor added = plus.value_or(at::Tensor());
        pixels.for_blocks([&](size_t number, const Block& block) {
            torchmill_batch_norm_forward(
                &block, pixels.at(number, x), pixels.at(number, added), floats(scale), floats(shift),
                pixels.at(number, y));
        });
        context->save_for_backward({x, settings.relu ? y : at::Tensor(), mean, inverse, scale});
        context->saved_data["affine"] = weight.has_value();
        context->saved_data["plus"] = plus.has_value();
        context->saved_data["relu"] = settings.relu;
        return y;
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const auto &x = saved[0], &y = saved[1], &mean = saved[2], &inverse = saved[3], &scale = saved[4];
        const bool relu = context->saved_data["relu"].toBool(), affine = context->saved_data["affine"].toBool();
        const bool plus = context->saved_data["plus"].toBool();
        const at::Tensor gradient = gradients[0].contiguous(LAYOUT);
        const Pixels pixels(x, relu);
        Partial partial(pixels);
        pixels.for_blocks([&](size_t number, const Block& block) {
            torchmill_batch_norm_sums(
                &block, pixels.at(number, x), pixels.at(number, y), pixels.at(number, gradient), floats(mean),
                partial.first(number), partial.second(number));
        });
        const size_t channels = pixels.channels;
        const double count = pixels.count;
        std::vector<double> sums(channels), dots(channels);
        for (size_t number = 0; number < pixels.blocks(); number++) {
            const float *sum = partial.first(number), *dot = partial.second(number);
            for (size_t c = 0; c < channels; c++) {
                sums[c] += sum[c];
                dots[c] += dot[c];
            }
        }
        auto of_weight = at::empty_like(mean), of_bias = at::empty_like(mean);
        std::vector<float> slope(channels), offset(channels);
        for (size_t c = 0; c < channels; c++) {
            const double root = floats(inverse)[c], factor = floats(scale)[c];
            floats(of_weight)[c] = dots[c] * root;
            floats(of_bias)[c] = sums[c];
            slope[c] = -factor * root * root * dots[c] / count;
            offset[c] = -factor * sums[c] / count;
        }
        // Without ReLU, what was added has the gradient that came.
        at::Tensor of_x = at::empty_like(x, x.options().memory_format(LAYOUT));
        at::Tensor of_plus = plus && relu ? at::empty_like(of_x) : at::Tensor();
        const Factors factors{floats(mean), floats(scale), slope.data(), offset.data()};
        pixels.for_blocks([&](size_t number, const Block& block) {
            torchmill_batch_norm_backward(
                &block, pixels.at(number, x), pixels.at(number, y), pixels.at(number, gradient), &factors,
                pixels.at(number, of_x), pixels.at(number, of_plus));
        });
        if (plus && !relu) of_plus = gradient;
        if (!affine) of_weight = of_bias = at::Tensor();
        return {of_x, of_weight, of_bias, of_plus, at::Tensor()};
    }
};

// Absent, or a dense float for each channel.
bool taken(const at::Tensor* t, int64_t channels) {
    return t == nullptr || (t->device().is_cpu() && t->scalar_type() == at::kFloat && t->dim() == 1 &&
                            t->size(0) == channels && t->is_contiguous());
}

}  // namespace

// A new tensor; or null, where the tensors are not what the kernel takes or, with *error set, where libtorch throws.
extern "C" at::Tensor* torchmill_batch_norm(const Tensors* t, double momentum, double eps, bool relu, char** error) {
    if (!taken(*t->x)) return nullptr;
    for (const auto* each : {t->weight, t->bias, t->running_mean, t->running_var}) {
        if (!taken(each, t->x->size(1))) return nullptr;
    }
    if (t->plus != nullptr &&
        (!taken(*t->plus) || t->plus->sizes() != t->x->sizes() || t->plus->scalar_type() != t->x->scalar_type())) {
        return nullptr;
    }
    const auto optional = [](const at::Tensor* t) { return t == nullptr ? std::nullopt : std::make_optional(*t); };
    const auto detached = [](const at::Tensor* t) { return t == nullptr ? at::Tensor() : t->detach(); };
    return made(error, [&] {
        const Settings settings{detached(t->running_mean), detached(t->running_var), momentum, eps, relu};
        return BatchNorm::apply(*t->x, optional(t->weight), optional(t->bias), optional(t->plus), settings);
    });
}
