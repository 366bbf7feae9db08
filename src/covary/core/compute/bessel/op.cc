#include "covary/core/compute/bessel/op.h"

#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/compute/autograd.h"

namespace covary::compute {
namespace {

const char* name(BesselKind kind) { return kind == BesselKind::kI ? "log I" : "log K"; }

[[noreturn]] void refuse(BesselKind kind, const std::string& what, const std::string& hint) {
  throw Error(ExitCode::kFailed, what, name(kind), hint);
}

void check(BesselKind kind, const at::Tensor& order, const at::Tensor& argument) {
  if (!order.defined() || !argument.defined()) {
    refuse(kind, "needs an order and an argument", "pass two tensors");
  }
  const auto type = order.scalar_type();
  if (type != at::kFloat && type != at::kDouble) {
    refuse(kind, "the order is float or double", "convert it with .to(at::kDouble)");
  }
  if (argument.scalar_type() != type) {
    refuse(kind, "order and argument have different dtypes", "convert one of them");
  }
  if (!order.device().is_cpu() || !argument.device().is_cpu()) {
    refuse(kind, "tensors lie on the CPU", "move them with .cpu()");
  }
}

void check_domain(BesselKind kind, int64_t outside) {
  if (outside == 0) return;
  throw Error(ExitCode::kData, std::to_string(outside) + " elements lie outside the domain",
              name(kind),
              "arguments are at least 0; orders of I are at least 0 or whole; neither is NaN or "
              "beyond 1e100");
}

template <class T>
BesselInput<T> input(const at::Tensor& order, const at::Tensor& argument) {
  return {order.numel(), order.data_ptr<T>(), argument.data_ptr<T>()};
}

template <class T>
T* data(const at::Tensor& t) {
  return t.defined() ? t.data_ptr<T>() : nullptr;
}

template <class T>
int64_t run(const BesselOptions& options, const Tensors& in, const Tensors& out) {
  return log_bessel(options, input<T>(in[0], in[1]),
                    BesselOutput<T>{data<T>(out[0]), data<T>(out[1]), data<T>(out[2]),
                                    data<T>(out[3]), data<T>(out[4]), data<T>(out[5])});
}

// Value and derivatives (value, v, x, vv, vx, xx) at broadcast, contiguous inputs; those that are wanted.
Tensors evaluate(const BesselOptions& options, const at::Tensor& order, const at::Tensor& argument,
                 const std::vector<bool>& wanted, int64_t* outside) {
  const Tensors in{order.detach().contiguous(), argument.detach().contiguous()};
  Tensors out(6);
  for (size_t i = 0; i < 6; ++i) {
    if (wanted[i]) out[i] = at::empty(in[0].sizes(), in[0].options());
  }
  *outside = in[0].scalar_type() == at::kFloat ? run<float>(options, in, out)
                                               : run<double>(options, in, out);
  return out;
}

Tensors evaluate(const BesselOptions& options, const at::Tensor& order, const at::Tensor& argument,
                 const std::vector<bool>& wanted) {
  int64_t outside = 0;
  Tensors out = evaluate(options, order, argument, wanted, &outside);
  check_domain(options.kind, outside);
  return out;
}

// The first derivatives as functions of their own, so that they can be differentiated in turn.
Tensors slopes(const BesselOptions& options, const at::Tensor& order, const at::Tensor& argument,
               bool in_order, bool in_argument) {
  return differentiable(
      std::string("derivative of ") + name(options.kind), {order, argument},
      [&](const Tensors& in) {
        const Tensors d =
            evaluate(options, in[0], in[1], {false, in_order, in_argument, false, false, false});
        return Tensors{d[1], d[2]};
      },
      [options, in_order, in_argument](const Saved& saved, const Tensors& grad) {
        const bool v = saved.needs[0], x = saved.needs[1];
        const Tensors d = evaluate(options, saved.inputs[0], saved.inputs[1],
                                   {false, false, false, v && in_order, true, x && in_argument});
        Tensors out(2);
        if (v) {
          out[0] = at::zeros_like(d[4]);
          if (in_order) out[0] += grad[0] * d[3];
          if (in_argument) out[0] += grad[1] * d[4];
        }
        if (x) {
          out[1] = at::zeros_like(d[4]);
          if (in_order) out[1] += grad[0] * d[4];
          if (in_argument) out[1] += grad[1] * d[5];
        }
        return out;
      });
}

}  // namespace

at::Tensor log_bessel(const BesselOptions& options, const at::Tensor& order,
                      const at::Tensor& argument) {
  check(options.kind, order, argument);
  // Torch's own expand sums the gradients of what was broadcast.
  Tensors both = at::broadcast_tensors({order, argument});
  return differentiable(
      name(options.kind), both,
      [&](const Tensors& in) {
        return Tensors{
            evaluate(options, in[0], in[1], {true, false, false, false, false, false})[0]};
      },
      [options](const Saved& saved, const Tensors& grad) {
        const Tensors d =
            slopes(options, saved.inputs[0], saved.inputs[1], saved.needs[0], saved.needs[1]);
        Tensors out(2);
        for (size_t i = 0; i < 2; ++i) {
          if (saved.needs[i]) out[i] = grad[0] * d[i];
        }
        return out;
      },
      Differentiable::kTwice)[0];
}

at::Tensor bessel_ratio(BesselKind kind, const at::Tensor& order, const at::Tensor& argument) {
  const BesselTable table = bessel_ratio_table(kind, order, argument);
  check_domain(kind, table.outside);
  return table.parts.squeeze(-1);
}

BesselTable bessel_table(const BesselOptions& options, const at::Tensor& order,
                         const at::Tensor& argument, int derivatives) {
  check(options.kind, order, argument);
  const Tensors both = at::broadcast_tensors({order, argument});
  const bool first = derivatives >= 1, second = derivatives >= 2;
  BesselTable table;
  Tensors parts = evaluate(options, both[0], both[1], {true, first, first, second, second, second},
                           &table.outside);
  parts.resize(second ? 6 : first ? 3 : 1);
  table.parts = parts.size() == 1 ? parts[0].unsqueeze(-1) : at::stack(parts, -1);
  return table;
}

BesselTable bessel_ratio_table(BesselKind kind, const at::Tensor& order,
                               const at::Tensor& argument) {
  check(kind, order, argument);
  const Tensors both = at::broadcast_tensors({order.detach(), argument.detach()});
  const at::Tensor v = both[0].contiguous(), x = both[1].contiguous();
  BesselTable table;
  table.parts = at::empty(v.sizes(), v.options());
  table.outside =
      v.scalar_type() == at::kFloat
          ? bessel_ratio<float>(kind, input<float>(v, x), table.parts.data_ptr<float>())
          : bessel_ratio<double>(kind, input<double>(v, x), table.parts.data_ptr<double>());
  table.parts = table.parts.unsqueeze(-1);
  return table;
}

}  // namespace covary::compute
