#include "covary/splat/fit/color_offset.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/stages.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/autograd.h"
#include "covary/core/compute/sh/sh.h"
#include "covary/core/compute/tile_product/tile_product.h"

namespace covary::fit {
namespace {

constexpr int64_t kWide = OffsetNetwork::kWidth;
constexpr int64_t kOut = compute::kLanes;  // the three colours, padded
constexpr int64_t kRows = 128;             // Gaussians a block: their activations stay in cache
// Gaussians are cut into so many shares at most, of whole blocks: sums over them depend on this, not on the threads.
constexpr int64_t kShares = 64, kLeastShare = 1024;

enum Input { kWeights, kEmbedding, kFeatures, kIds, kDirections };

// Where each layer lies in the flat weights.
struct Layout {
  int64_t of_embedding, of_feature, of_direction, bias1, hidden, bias2, out, end;

  explicit Layout(const OffsetNetwork& n) {
    int64_t at = 0;
    const auto next = [&](int64_t size) { return std::exchange(at, at + size); };
    of_embedding = next(n.embedding * kWide);
    of_feature = next(n.features * kWide);
    of_direction = next(n.basis() * kWide);
    bias1 = next(kWide);
    hidden = next(kWide * kWide);
    bias2 = next(kWide);
    out = next(kWide * 3);
    end = at;
  }
};

int64_t padded(int64_t n) { return (n + compute::kLanes - 1) / compute::kLanes * compute::kLanes; }

// out [rows, width] = k [rows, inner] right [inner, width]
void product(const float* k, int64_t rows, int64_t inner, const float* right, int64_t width,
             double* out) {
  std::fill_n(out, rows * width, 0.0);
  compute::tile_product(k, rows, inner, right, width, out);
}
void product(const double* k, int64_t rows, int64_t inner, const double* right, int64_t width,
             double* out) {
  std::fill_n(out, rows * width, 0.0);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < inner; ++i)
      for (int64_t c = 0; c < width; ++c)
        out[r * width + c] += k[r * inner + i] * right[i * width + c];
}

// out [inner, width] += k' [inner, rows] right [rows, width]
void add_transposed(const float* k, int64_t rows, int64_t inner, const float* right, int64_t width,
                    double* out) {
  compute::tile_product_transposed(k, rows, inner, right, width, out);
}
void add_transposed(const double* k, int64_t rows, int64_t inner, const double* right,
                    int64_t width, double* out) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < inner; ++i)
      for (int64_t c = 0; c < width; ++c)
        out[i * width + c] += k[r * inner + i] * right[r * width + c];
}

template <class T>
std::vector<T> transposed(const std::vector<T>& m, int64_t rows, int64_t columns) {
  std::vector<T> out(m.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      out[static_cast<size_t>(c * rows + r)] = m[static_cast<size_t>(r * columns + c)];
  return out;
}

// The network as its products take it, for one photo.
template <class T>
struct Layers {
  int64_t inputs, features;  // what is not constant in a photo, padded; of which features
  int degree;
  std::vector<T> in, hidden, out;  // [inputs, 64], [64, 64], [64, kOut]
  std::vector<T> bias[2], second;  // [64]: with the photo's embedding, with embedding 0; of layer 2

  Layers(const OffsetNetwork& n, const at::Tensor& weights, const at::Tensor& embedding)
      : inputs(padded(n.features + n.basis())), features(n.features), degree(n.degree) {
    const Layout at(n);
    const T *w = weights.const_data_ptr<T>(), *e = embedding.const_data_ptr<T>();
    in.assign(static_cast<size_t>(inputs * kWide), T(0));
    std::copy_n(w + at.of_feature, (n.features + n.basis()) * kWide, in.data());
    hidden.assign(w + at.hidden, w + at.bias2);
    second.assign(w + at.bias2, w + at.out);
    out.assign(static_cast<size_t>(kWide * kOut), T(0));
    for (int64_t i = 0; i < kWide; ++i) std::copy_n(w + at.out + 3 * i, 3, out.data() + kOut * i);
    bias[1].assign(w + at.bias1, w + at.hidden);
    bias[0] = bias[1];
    for (int64_t k = 0; k < n.embedding; ++k)
      for (int64_t j = 0; j < kWide; ++j)
        bias[0][static_cast<size_t>(j)] += w[at.of_embedding + k * kWide + j] * e[k];
  }
};

// What a block of Gaussians needs; one a worker.
template <class T>
struct Scratch {
  std::vector<T> x;                    // [kRows, inputs]
  std::vector<T> first[2], second[2];  // hidden layers after their ReLU: the photo's, embedding 0's
  std::vector<T> between;              // second[0] - second[1]
  std::vector<T> g_out, g_second, g_first, g_sum;
  std::vector<double> product;

  explicit Scratch(int64_t inputs) {
    const auto size = [](int64_t n) { return static_cast<size_t>(kRows * n); };
    x.resize(size(inputs));
    for (auto* v :
         {&first[0], &first[1], &second[0], &second[1], &between, &g_second, &g_first, &g_sum})
      v->resize(size(kWide));
    g_out.resize(size(kOut));
    product.resize(size(std::max(inputs, kWide)));
  }
};

template <class T>
struct Rows {
  const T* features;
  const int64_t* ids;
  const T* directions;
};

// relu(product + bias)
template <class T>
void activate(const std::vector<double>& product, const std::vector<T>& bias, int64_t rows, T* to) {
  const double* p = product.data();
  const T* b = bias.data();
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < kWide; ++j)
      to[r * kWide + j] = std::max(T(0), static_cast<T>(p[r * kWide + j]) + b[j]);
}

// The hidden layers of rows begin .. begin + rows, into the scratch.
template <class T>
void run_hidden(const Layers<T>& net, const Rows<T>& in, int64_t begin, int64_t rows,
                Scratch<T>& s) {
  for (int64_t r = 0; r < rows; ++r) {
    T* x = s.x.data() + r * net.inputs;
    std::copy_n(in.features + in.ids[begin + r] * net.features, net.features, x);
    const T* d = in.directions + 3 * (begin + r);
    double unit[3], basis[compute::kMaxShBands];
    const double length =
        std::sqrt(static_cast<double>(d[0]) * d[0] + static_cast<double>(d[1]) * d[1] +
                  static_cast<double>(d[2]) * d[2]);
    for (int k = 0; k < 3; ++k) unit[k] = d[k] / length;
    compute::sh_basis(net.degree, unit, basis);
    const int64_t bands = (net.degree + 1) * (net.degree + 1);
    for (int64_t k = 0; k < bands; ++k) x[net.features + k] = static_cast<T>(basis[k]);
    std::fill(x + net.features + bands, x + net.inputs, T(0));
  }
  product(s.x.data(), rows, net.inputs, net.in.data(), kWide, s.product.data());
  for (int b = 0; b < 2; ++b) activate(s.product, net.bias[b], rows, s.first[b].data());
  for (int b = 0; b < 2; ++b) {
    product(s.first[b].data(), rows, kWide, net.hidden.data(), kWide, s.product.data());
    activate(s.product, net.second, rows, s.second[b].data());
  }
  for (int64_t i = 0; i < rows * kWide; ++i)
    s.between[static_cast<size_t>(i)] =
        s.second[0][static_cast<size_t>(i)] - s.second[1][static_cast<size_t>(i)];
}

int64_t share_of(int64_t count) {
  const int64_t least = std::max(kLeastShare, (count + kShares - 1) / kShares);
  return (least + kRows - 1) / kRows * kRows;
}

// f(share, first row, rows, scratch) for every block; the blocks of a share one after the other.
template <class T, class F>
void for_blocks(int64_t count, int64_t inputs, F&& f) {
  const int64_t share = share_of(count), shares = (count + share - 1) / share;
  parallel_tasks(shares, [&](int64_t i) {
    Scratch<T> scratch(inputs);
    const int64_t end = std::min(count, (i + 1) * share);
    for (int64_t begin = i * share; begin < end; begin += kRows)
      f(i, begin, std::min(kRows, end - begin), scratch);
  });
}

template <class T>
Rows<T> rows_of(const compute::Tensors& in) {
  return {in[kFeatures].const_data_ptr<T>(), in[kIds].const_data_ptr<int64_t>(),
          in[kDirections].const_data_ptr<T>()};
}

template <class T>
compute::Tensors forward(const OffsetNetwork& network, const compute::Tensors& in) {
  const Layers<T> net(network, in[kWeights], in[kEmbedding]);
  const Rows<T> rows = rows_of<T>(in);
  at::Tensor offsets = at::empty_like(in[kDirections]);
  T* to = offsets.mutable_data_ptr<T>();
  for_blocks<T>(offsets.size(0), net.inputs, [&](int64_t, int64_t begin, int64_t n, Scratch<T>& s) {
    run_hidden(net, rows, begin, n, s);
    product(s.between.data(), n, kWide, net.out.data(), kOut, s.product.data());
    for (int64_t r = 0; r < n; ++r)
      for (int64_t c = 0; c < 3; ++c)
        to[3 * (begin + r) + c] = static_cast<T>(s.product[static_cast<size_t>(kOut * r + c)]);
  });
  return {offsets};
}

// Sums over the rows of a share.
struct Sums {
  std::vector<double> in, hidden, out, bias[2], second;
  explicit Sums(int64_t inputs)
      : in(static_cast<size_t>(inputs * kWide)),
        hidden(static_cast<size_t>(kWide * kWide)),
        out(static_cast<size_t>(kWide * kOut)),
        second(static_cast<size_t>(kWide)) {
    for (auto& b : bias) b.resize(static_cast<size_t>(kWide));
  }
  void add(const Sums& o) {
    const auto plus = [](std::vector<double>& a, const std::vector<double>& b) {
      for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    };
    plus(in, o.in);
    plus(hidden, o.hidden);
    plus(out, o.out);
    for (int b = 0; b < 2; ++b) plus(bias[b], o.bias[b]);
    plus(second, o.second);
  }
};

// to = sign product where the activation was not cut off; its columns are added to sums
template <class T>
void gate(const std::vector<double>& product, T sign, const std::vector<T>& active, int64_t rows,
          std::vector<T>& to, std::vector<double>& sums) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < kWide; ++j) {
      const auto i = static_cast<size_t>(r * kWide + j);
      to[i] = active[i] > 0 ? sign * static_cast<T>(product[i]) : T(0);
      sums[static_cast<size_t>(j)] += static_cast<double>(to[i]);
    }
}

// The flat gradient of the weights, and that of the embedding.
template <class T>
std::pair<at::Tensor, at::Tensor> unpacked(const OffsetNetwork& n, const Sums& s,
                                           const at::Tensor& weights, const at::Tensor& embedding) {
  const Layout at(n);
  at::Tensor to_weights = at::empty_like(weights), to_embedding = at::empty_like(embedding);
  T *g = to_weights.mutable_data_ptr<T>(), *ge = to_embedding.mutable_data_ptr<T>();
  const T *w = weights.const_data_ptr<T>(), *e = embedding.const_data_ptr<T>();
  const auto put = [](double v) { return static_cast<T>(v); };
  for (int64_t k = 0; k < n.embedding; ++k) {
    double along = 0;
    for (int64_t j = 0; j < kWide; ++j) {
      const double bias = s.bias[0][static_cast<size_t>(j)];
      g[at.of_embedding + k * kWide + j] = put(static_cast<double>(e[k]) * bias);
      along += static_cast<double>(w[at.of_embedding + k * kWide + j]) * bias;
    }
    ge[k] = put(along);
  }
  std::transform(s.in.begin(), s.in.begin() + (n.features + n.basis()) * kWide, g + at.of_feature,
                 put);
  for (size_t j = 0; j < static_cast<size_t>(kWide); ++j)
    g[static_cast<size_t>(at.bias1) + j] = put(s.bias[0][j] + s.bias[1][j]);
  std::transform(s.hidden.begin(), s.hidden.end(), g + at.hidden, put);
  std::transform(s.second.begin(), s.second.end(), g + at.bias2, put);
  for (int64_t i = 0; i < kWide; ++i)
    std::transform(s.out.begin() + kOut * i, s.out.begin() + kOut * i + 3, g + at.out + 3 * i, put);
  return {to_weights, to_embedding};
}

template <class T>
compute::Tensors backward(const OffsetNetwork& network, const compute::Saved& saved,
                          const at::Tensor& gradient, bool compact) {
  StageTimer stage("offsets");
  const compute::Tensors& in = saved.inputs;
  const Layers<T> net(network, in[kWeights], in[kEmbedding]);
  const std::vector<T> in_back = transposed(net.in, net.inputs, kWide),
                       hidden_back = transposed(net.hidden, kWide, kWide),
                       out_back = transposed(net.out, kWide, kOut);
  const Rows<T> rows = rows_of<T>(in);
  const int64_t count = in[kDirections].size(0), bands = network.basis();
  stage.add_items(count);
  const T* g = gradient.const_data_ptr<T>();
  at::Tensor to_directions = at::empty_like(in[kDirections]);
  at::Tensor of_rows = at::empty({count, network.features}, gradient.options());
  T *to_d = to_directions.mutable_data_ptr<T>(), *to_f = of_rows.mutable_data_ptr<T>();
  const int64_t share = share_of(count);
  std::vector<Sums> sums(static_cast<size_t>((count + share - 1) / share), Sums(net.inputs));

  for_blocks<T>(count, net.inputs, [&](int64_t i, int64_t begin, int64_t n, Scratch<T>& s) {
    Sums& sum = sums[static_cast<size_t>(i)];
    run_hidden(net, rows, begin, n, s);
    for (int64_t r = 0; r < n; ++r) {
      T* to = s.g_out.data() + kOut * r;
      std::copy_n(g + 3 * (begin + r), 3, to);
      std::fill(to + 3, to + kOut, T(0));
    }
    add_transposed(s.between.data(), n, kWide, s.g_out.data(), kOut, sum.out.data());
    std::fill(s.g_sum.begin(), s.g_sum.end(), T(0));
    for (int b = 0; b < 2; ++b) {
      product(s.g_out.data(), n, kOut, out_back.data(), kWide, s.product.data());
      gate(s.product, b == 0 ? T(1) : T(-1), s.second[b], n, s.g_second, sum.second);
      add_transposed(s.first[b].data(), n, kWide, s.g_second.data(), kWide, sum.hidden.data());
      product(s.g_second.data(), n, kWide, hidden_back.data(), kWide, s.product.data());
      gate(s.product, T(1), s.first[b], n, s.g_first, sum.bias[b]);
      for (size_t k = 0; k < static_cast<size_t>(n * kWide); ++k) s.g_sum[k] += s.g_first[k];
    }
    add_transposed(s.x.data(), n, net.inputs, s.g_sum.data(), kWide, sum.in.data());
    product(s.g_sum.data(), n, kWide, in_back.data(), net.inputs, s.product.data());
    for (int64_t r = 0; r < n; ++r) {
      const double* gx = s.product.data() + r * net.inputs;
      for (int64_t k = 0; k < network.features; ++k)
        to_f[(begin + r) * network.features + k] = static_cast<T>(gx[k]);
      double weights[compute::kMaxShBands], d[3], out[3];
      std::copy_n(gx + network.features, bands, weights);
      std::copy_n(rows.directions + 3 * (begin + r), 3, d);
      compute::sh_basis_vjp(network.degree, d, weights, out);
      for (int k = 0; k < 3; ++k) to_d[3 * (begin + r) + k] = static_cast<T>(out[k]);
    }
  });

  Sums all(net.inputs);
  for (const Sums& s : sums) all.add(s);
  compute::Tensors out(in.size());
  std::tie(out[kWeights], out[kEmbedding]) =
      unpacked<T>(network, all, in[kWeights], in[kEmbedding]);
  const at::Tensor& features = in[kFeatures];
  if (compact) {
    out[kFeatures] = at::_sparse_coo_tensor_unsafe(in[kIds].unsqueeze(0), of_rows, features.sizes(),
                                                   features.options().layout(at::kSparse), true);
  } else {
    out[kFeatures] = at::zeros_like(features).index_add_(0, in[kIds], of_rows);
  }
  out[kDirections] = to_directions;
  return out;
}

void expect(bool holds, const char* what) {
  if (!holds) throw Error(ExitCode::kFailed, what, "color_offset");
}

}  // namespace

int64_t OffsetNetwork::count() const { return Layout(*this).end; }

at::Tensor starting_weights(const OffsetNetwork& network, uint64_t seed) {
  const Layout at(network);
  at::Tensor weights = at::zeros({at.end}, at::kFloat);
  float* w = weights.mutable_data_ptr<float>();
  const Random random(seed, stream_of("embedding.network"));
  const auto fill = [&](int64_t begin, int64_t end, int64_t inputs) {
    const double bound = 1 / std::sqrt(static_cast<double>(inputs));
    for (int64_t i = begin; i < end; ++i)
      w[i] = static_cast<float>(bound * (2 * random.uniform(static_cast<uint64_t>(i)) - 1));
  };
  fill(at.of_embedding, at.hidden, network.embedding + network.features + network.basis());
  fill(at.hidden, at.out, kWide);
  return weights;
}

nn::NamedTensors named_weights(const OffsetNetwork& network, const at::Tensor& weights) {
  const Layout at(network);
  const auto part = [&](int64_t begin, int64_t end) { return weights.slice(0, begin, end); };
  return {{"embedding", part(at.of_embedding, at.of_feature).view({-1, kWide})},
          {"feature", part(at.of_feature, at.of_direction).view({-1, kWide})},
          {"direction", part(at.of_direction, at.bias1).view({-1, kWide})},
          {"bias1", part(at.bias1, at.hidden)},
          {"hidden", part(at.hidden, at.bias2).view({-1, kWide})},
          {"bias2", part(at.bias2, at.out)},
          {"out", part(at.out, at.end).view({-1, 3})}};
}

at::Tensor color_offsets(const OffsetNetwork& network, const at::Tensor& weights,
                         const at::Tensor& embedding, const at::Tensor& features,
                         const at::Tensor& ids, const at::Tensor& directions) {
  const auto type = directions.scalar_type();
  expect(type == at::kFloat || type == at::kDouble, "directions are neither float nor double");
  for (const at::Tensor& t : {weights, embedding, features})
    expect(t.scalar_type() == type,
           "weights, embedding and features are not of the directions' type");
  expect(network.degree >= 0 && network.degree <= compute::kMaxShDegree,
         "the degree of the direction's basis is not in 0..4");
  expect(weights.dim() == 1 && weights.size(0) == network.count(),
         "the weights are of another network");
  expect(embedding.dim() == 1 && embedding.size(0) == network.embedding,
         "the embedding has another size than the network asks for");
  expect(features.dim() == 2 && features.size(1) == network.features,
         "the features have another size than the network asks for");
  expect(ids.dim() == 1 && ids.scalar_type() == at::kLong && directions.dim() == 2 &&
             directions.size(1) == 3 && directions.size(0) == ids.size(0),
         "there is not one direction for each id");
  StageTimer stage("offsets");
  stage.add_items(ids.size(0));
  const bool compact = features.is_leaf();
  return compute::differentiable(
      "color_offsets",
      {weights.contiguous(), embedding.contiguous(), features.contiguous(), ids.contiguous(),
       directions.contiguous()},
      [&](const compute::Tensors& in) {
        return type == at::kFloat ? forward<float>(network, in) : forward<double>(network, in);
      },
      [network, type, compact](const compute::Saved& saved, const compute::Tensors& gradients) {
        const at::Tensor g = gradients[0].contiguous();
        return type == at::kFloat ? backward<float>(network, saved, g, compact)
                                  : backward<double>(network, saved, g, compact);
      })[0];
}

}  // namespace covary::fit
