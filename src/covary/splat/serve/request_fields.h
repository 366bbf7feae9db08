// Fields of a JSON object that a page has sent: each is checked, and an error names it.
//
//   const RequestFields fields(body);
//   const double scale = fields.number("scale", 1, 0.01, 10);   // 1 when absent; Error(kUsage): "scale is no number from ..."
#pragma once

#include <array>
#include <cmath>
#include <string>

#include <nlohmann/json.hpp>

#include "covary/core/base/error.h"

namespace covary::serve {

class RequestFields {
 public:
  // body must outlive this. Error(kUsage) when it is no object.
  explicit RequestFields(const nlohmann::json& body) : body_(body) {
    if (!body.is_object()) throw Error(ExitCode::kUsage, "the request is no JSON object");
  }

  [[noreturn]] void refuse(const std::string& field, const std::string& what) const {
    throw Error(ExitCode::kUsage, field + " " + what);
  }

  // Null when absent or JSON null.
  const nlohmann::json* find(const char* field) const {
    const auto found = body_.find(field);
    return found == body_.end() || found->is_null() ? nullptr : &*found;
  }

  double number(const char* field, double fallback, double low, double high) const {
    const nlohmann::json* j = find(field);
    if (!j) return fallback;
    const double value = j->is_number() ? j->get<double>() : NAN;
    if (!(value >= low && value <= high))
      refuse(field, "is no number from " + nlohmann::json(low).dump() + " to " +
                        nlohmann::json(high).dump());
    return value;
  }

  bool flag(const char* field, bool fallback) const {
    const nlohmann::json* j = find(field);
    if (!j) return fallback;
    if (!j->is_boolean()) refuse(field, "is neither true nor false");
    return j->get<bool>();
  }

  std::string text(const char* field, const std::string& fallback) const {
    const nlohmann::json* j = find(field);
    if (!j) return fallback;
    if (!j->is_string()) refuse(field, "is no text");
    return j->get<std::string>();
  }

  // A list of three finite numbers, which errors call `field`.
  template <class T>
  std::array<T, 3> three(const nlohmann::json& list, const char* field) const {
    std::array<T, 3> out{};
    if (!list.is_array() || list.size() != 3) refuse(field, "is not three numbers");
    for (size_t k = 0; k < 3; ++k) {
      out[k] = list[k].is_number() ? list[k].get<T>() : static_cast<T>(NAN);
      if (!std::isfinite(out[k])) refuse(field, "is not three numbers");
    }
    return out;
  }

 private:
  const nlohmann::json& body_;
};

}  // namespace covary::serve
