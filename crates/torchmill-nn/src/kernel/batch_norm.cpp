// The autograd function of batch_norm.rs.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels.h"
#include "torchmill-nn/src/kernel/bridge.rs.h"

namespace torchmill {
namespace {

// [N, C, H, W] in channels-last layout is a matrix [pixels, C]. It is processed in blocks of 16 KiB, but at least 16
// pixels.
struct Blocks {
    size_t pixels, channels, pixels_in_block;

    explicit Blocks(const at::Tensor& x)
        : pixels(x.numel() / x.size(1)), channels(x.size(1)),
          pixels_in_block(std::max<size_t>(16, 16384 / (channels * x.element_size()))) {}

    size_t count() const { return (pixels + pixels_in_block - 1) / pixels_in_block; }
    size_t size(size_t block) const { return std::min(pixels_in_block, pixels - block * pixels_in_block); }

    // A block of a tensor of this shape; empty if the tensor is undefined.
    template <typename T>
    rust::Slice<const T> read(const at::Tensor& t, size_t block) const {
        if (!t.defined()) return {};
        return read_slice<T>(t, block * pixels_in_block * channels, size(block) * channels);
    }
    template <typename T>
    rust::Slice<T> write(const at::Tensor& t, size_t block) const {
        if (!t.defined()) return {};
        return write_slice<T>(t, block * pixels_in_block * channels, size(block) * channels);
    }

    // Calls work(block) for each block, on libtorch's threads.
    template <typename Work>
    void for_each(const Work& work) const {
        const int64_t grain = std::max<int64_t>(1, GRAIN / (pixels_in_block * channels));
        at::parallel_for(0, count(), grain, [&](int64_t first, int64_t end) {
            for (int64_t block = first; block < end; block++) work(size_t(block));
        });
    }

    // The number of parts whose sums are computed at once, by at most as many threads. It does not depend on the number of
    // threads, so the sums do not either.
    size_t parts() const { return std::min<size_t>(32, count()); }

    // Calls work(part, first, end) for the blocks from `first` to before `end` of each part, on libtorch's threads.
    template <typename Work>
    void for_each_part(const Work& work) const {
        const int64_t grain = std::max<int64_t>(1, GRAIN * parts() / (pixels * channels));
        at::parallel_for(0, parts(), grain, [&](int64_t first, int64_t end) {
            for (size_t part = first; part < size_t(end); part++) {
                work(part, count() * part / parts(), count() * (part + 1) / parts());
            }
        });
    }
};

rust::Slice<float> slice(std::vector<float>& values) { return {values.data(), values.size()}; }

// The mean of each channel over some pixels, and the sum of the squared deviations from it.
struct Moments {
    std::vector<double> mean, squares;
    double pixels = 0;

    explicit Moments(size_t channels) : mean(channels), squares(channels) {}

    // Adds those of other pixels. T. F. Chan et al., "Updating Formulae and a Pairwise Algorithm for Computing Sample
    // Variances", 1979.
    template <typename T>
    void add(const std::vector<T>& other_mean, const std::vector<T>& other_squares, double other_pixels) {
        const double both = pixels + other_pixels;
        const double share = other_pixels / both, weight = pixels * share;
        for (size_t c = 0; c < mean.size(); c++) {
            const double difference = other_mean[c] - mean[c];
            mean[c] += difference * share;
            squares[c] += other_squares[c] + difference * difference * weight;
        }
        pixels = both;
    }
};

Moments moments(const at::Tensor& x, const Blocks& blocks) {
    std::vector<Moments> parts(blocks.parts(), Moments(blocks.channels));
    for_element_type(x, [&](auto zero) {
        using T = decltype(zero);
        blocks.for_each_part([&](size_t part, size_t first, size_t end) {
            std::vector<float> mean(blocks.channels), squares(blocks.channels);
            for (size_t block = first; block < end; block++) {
                batch_norm_statistics(blocks.read<T>(x, block), slice(mean), slice(squares));
                parts[part].add(mean, squares, blocks.size(block));
            }
        });
    });
    Moments all(blocks.channels);
    for (const Moments& part : parts) all.add(part.mean, part.squares, part.pixels);
    return all;
}

float* floats(const at::Tensor& t) { return t.mutable_data_ptr<float>(); }
const float* const_floats(const at::Tensor& t) { return t.const_data_ptr<float>(); }

// Moves the running mean and unbiased variance towards the batch's.
void update_running(
    const at::Tensor& running_mean, const at::Tensor& running_var, const Moments& batch, double count, double momentum) {
    float *mean = floats(running_mean), *var = floats(running_var);
    for (size_t c = 0; c < batch.mean.size(); c++) {
        mean[c] = momentum * batch.mean[c] + (1 - momentum) * mean[c];
        var[c] = momentum * (batch.squares[c] / (count - 1)) + (1 - momentum) * var[c];
    }
}

// The values of each channel that normalise a batch: y = scale * x + shift.
struct Normalisation {
    at::Tensor mean, inverse_deviation, scale, shift;

    Normalisation(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const Moments& m, double eps) {
        const size_t channels = m.mean.size();
        const double count = x.numel() / channels;
        mean = at::empty({int64_t(channels)}, x.options().dtype(at::kFloat));
        inverse_deviation = at::empty_like(mean);
        scale = at::empty_like(mean);
        shift = at::empty_like(mean);
        for (size_t c = 0; c < channels; c++) {
            const double inverse = 1 / std::sqrt(m.squares[c] / count + eps);
            const float factor = weight.defined() ? inverse * const_floats(weight)[c] : inverse;
            floats(mean)[c] = m.mean[c];
            floats(inverse_deviation)[c] = inverse;
            floats(scale)[c] = factor;
            floats(shift)[c] = (bias.defined() ? const_floats(bias)[c] : 0) - m.mean[c] * factor;
        }
    }
};

BatchNormFactors factors_of(
    const at::Tensor& mean, const at::Tensor& scale, const at::Tensor& shift, Activation activation) {
    const size_t channels = mean.numel();
    return {
        read_slice<float>(mean, 0, channels), read_slice<float>(scale, 0, channels),
        read_slice<float>(shift, 0, channels), activation};
}

// For each channel, the sum of the gradient and of the gradient times x - mean.
struct GradientSums {
    std::vector<double> sum, dot;

    explicit GradientSums(size_t channels) : sum(channels), dot(channels) {}

    template <typename T>
    void add(const std::vector<T>& other_sum, const std::vector<T>& other_dot) {
        for (size_t c = 0; c < sum.size(); c++) {
            sum[c] += other_sum[c];
            dot[c] += other_dot[c];
        }
    }
};

GradientSums gradient_sums(
    const at::Tensor& x, const at::Tensor& y, const at::Tensor& gradient, const BatchNormFactors& factors,
    const Blocks& blocks) {
    std::vector<GradientSums> parts(blocks.parts(), GradientSums(blocks.channels));
    for_element_type(x, [&](auto zero) {
        using T = decltype(zero);
        blocks.for_each_part([&](size_t part, size_t first, size_t end) {
            std::vector<float> sum(blocks.channels), dot(blocks.channels);
            for (size_t block = first; block < end; block++) {
                batch_norm_sums(
                    blocks.read<T>(x, block), blocks.read<T>(y, block), blocks.read<T>(gradient, block), factors,
                    slice(sum), slice(dot));
                parts[part].add(sum, dot);
            }
        });
    });
    GradientSums all(blocks.channels);
    for (const GradientSums& part : parts) all.add(part.sum, part.dot);
    return all;
}

struct BatchNorm : torch::autograd::Function<BatchNorm> {
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, const std::optional<at::Tensor>& weight,
        const std::optional<at::Tensor>& bias, const std::optional<at::Tensor>& residual,
        const at::Tensor* running_mean, const at::Tensor* running_var, const BatchNormOptions& options) {
        const Blocks blocks(x);
        const Moments batch = moments(x, blocks);
        const at::Tensor none;
        const Normalisation n(x, weight.value_or(none), bias.value_or(none), batch, options.eps);
        if (running_mean->defined()) {
            update_running(*running_mean, *running_var, batch, blocks.pixels, options.momentum);
        }
        const auto y = at::empty_like(x, x.options().memory_format(CHANNELS_LAST));
        const BatchNormFactors factors = factors_of(n.mean, n.scale, n.shift, options.activation);
        const at::Tensor added = residual.value_or(none);
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            blocks.for_each([&](size_t block) {
                batch_norm_forward(
                    blocks.read<T>(x, block), blocks.read<T>(added, block), factors, blocks.write<T>(y, block));
            });
        });
        // With a residual, the gradient of ReLU needs y. Without one, the input of the activation is computed again.
        const bool needs_output = residual.has_value() && options.activation != Activation::Identity;
        context->save_for_backward({x, needs_output ? y : none, n.mean, n.inverse_deviation, n.scale, n.shift});
        context->saved_data["activation"] = int64_t(options.activation);
        context->saved_data["affine"] = weight.has_value();
        context->saved_data["residual"] = residual.has_value();
        return y;
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const auto &x = saved[0], &y = saved[1], &mean = saved[2], &inverse_deviation = saved[3], &scale = saved[4];
        const auto factors = factors_of(mean, scale, saved[5], Activation(context->saved_data["activation"].toInt()));
        const bool affine = context->saved_data["affine"].toBool();
        const bool has_residual = context->saved_data["residual"].toBool();
        const at::Tensor gradient = gradients[0].contiguous(CHANNELS_LAST);
        const Blocks blocks(x);
        const GradientSums sums = gradient_sums(x, y, gradient, factors, blocks);
        auto weight_gradient = at::empty_like(mean), bias_gradient = at::empty_like(mean);
        std::vector<float> slope(blocks.channels), offset(blocks.channels);
        const double count = blocks.pixels;
        for (size_t c = 0; c < blocks.channels; c++) {
            const double inverse = const_floats(inverse_deviation)[c], factor = const_floats(scale)[c];
            floats(weight_gradient)[c] = sums.dot[c] * inverse;
            floats(bias_gradient)[c] = sums.sum[c];
            slope[c] = -factor * inverse * inverse * sums.dot[c] / count;
            offset[c] = -factor * sums.sum[c] / count;
        }
        const BatchNormSlopes slopes{{slope.data(), slope.size()}, {offset.data(), offset.size()}};
        const auto x_gradient = at::empty_like(x, x.options().memory_format(CHANNELS_LAST));
        // Without an activation the residual's gradient equals the output's.
        at::Tensor residual_gradient = y.defined() ? at::empty_like(x_gradient) : at::Tensor();
        for_element_type(x, [&](auto zero) {
            using T = decltype(zero);
            blocks.for_each([&](size_t block) {
                batch_norm_backward(
                    blocks.read<T>(x, block), blocks.read<T>(y, block), blocks.read<T>(gradient, block), factors, slopes,
                    blocks.write<T>(x_gradient, block), blocks.write<T>(residual_gradient, block));
            });
        });
        if (has_residual && !y.defined()) residual_gradient = gradient;
        if (!affine) weight_gradient = bias_gradient = at::Tensor();
        const at::Tensor none;
        return {x_gradient, weight_gradient, bias_gradient, residual_gradient, none, none, none};
    }
};

// Whether a tensor is absent or holds one float per channel.
bool is_per_channel(const at::Tensor& t, int64_t channels) {
    if (!t.defined()) return true;
    return t.device().is_cpu() && t.scalar_type() == at::kFloat && t.dim() == 1 && t.size(0) == channels &&
           t.is_contiguous();
}

}  // namespace

std::unique_ptr<at::Tensor> batch_norm(
    const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual,
    const at::Tensor& running_mean, const at::Tensor& running_var, const BatchNormOptions& options) {
    if (!is_supported(x)) return nullptr;
    for (const auto* t : {&weight, &bias, &running_mean, &running_var}) {
        if (!is_per_channel(*t, x.size(1))) return nullptr;
    }
    if (residual.defined() && (!is_supported(residual) || residual.sizes() != x.sizes() ||
                               residual.scalar_type() != x.scalar_type())) {
        return nullptr;
    }
    return to_pointer(BatchNorm::apply(
        x, optional(weight), optional(bias), optional(residual), &running_mean, &running_var, options));
}

}  // namespace torchmill
