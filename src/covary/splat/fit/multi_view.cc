#include "covary/splat/fit/multi_view.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/threads.h"

namespace covary::fit {

void MultiView::add(const scene::Camera& camera, const at::Tensor& rendered,
                    const at::Tensor& truth, const at::Tensor& mask) {
  Seen seen{.camera = camera, .worst = {}};
  if (options_.cross_ray) {
    const at::NoGradGuard no_gradient;
    at::Tensor wanted = truth.to(at::kFloat);
    if (truth.scalar_type() == at::kByte) wanted = wanted.div_(255);
    at::Tensor errors = (rendered.detach() - wanted).abs_().mean(-1);
    if (mask.defined()) errors = errors * mask;
    errors = errors.contiguous();
    seen.worst = worst_window(errors.const_data_ptr<float>(), errors.size(0), errors.size(1),
                              options_.window_width, options_.window_height);
  }
  views_.push_back(std::move(seen));
}

double MultiView::threshold_factor() const {
  if (!options_.augment) return 1;
  std::vector<Eigen::Vector3d> centres;
  for (const Seen& v : views_) centres.push_back(v.camera.centre());
  return look_from_afar(centres, facts_.focus) ? 0.5 : 1;
}

std::vector<Box> MultiView::boxes() const {
  std::vector<Box> out;
  if (!options_.cross_ray) return out;
  std::vector<Seen> worst_first = views_;
  std::stable_sort(worst_first.begin(), worst_first.end(),
                   [](const Seen& a, const Seen& b) { return a.worst.error > b.worst.error; });
  const MeetingOptions rule{.guarded = options_.guarded, .extent = facts_.extent};
  for (size_t i = 0; i < worst_first.size(); ++i) {
    for (size_t j = i + 1; j < worst_first.size(); ++j) {
      const Seen &a = worst_first[i], &b = worst_first[j];
      const Meeting m = meeting_of(a.camera, a.worst, b.camera, b.worst, rule);
      if (m.box) out.push_back(*m.box);
    }
  }
  return out;
}

std::vector<uint8_t> MultiView::inside(const at::Tensor& means) const {
  std::vector<uint8_t> in(static_cast<size_t>(means.size(0)), 0);
  const std::vector<Box> boxes = this->boxes();
  if (boxes.empty()) return in;
  const float* m = means.const_data_ptr<float>();
  parallel_for(means.size(0), 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Eigen::Vector3d mean(m[3 * i], m[3 * i + 1], m[3 * i + 2]);
      in[static_cast<size_t>(i)] =
          std::any_of(boxes.begin(), boxes.end(), [&](const Box& b) { return b.holds(mean); });
    }
  });
  return in;
}

}  // namespace covary::fit
