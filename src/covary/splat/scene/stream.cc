#include "covary/splat/scene/stream.h"

#include <algorithm>
#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/geometry/morton.h"
#include "covary/splat/scene/axes.h"
#include "covary/splat/scene/cloud_arrays.h"
#include "covary/splat/scene/ply.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;

// A .ply that is gone with the object: rows that were edited, until their order is known.
class Waiting {
 public:
  Waiting(const fs::path& beside, const RowPlan& plan) : sink_(create_ply(name(beside), plan)) {}
  ~Waiting() { remove(); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  void append(const Cloud& rows) { sink_->append(rows); }
  const RowSource& read() {
    sink_->commit();
    source_ = open_ply(path_, true);
    remove();  // its bytes stay until it is closed
    return *source_;
  }

 private:
  void remove() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  const fs::path& name(const fs::path& beside) {
    path_ = beside.parent_path() / ("." + beside.filename().string() + ".rows-" +
                                    std::to_string(reinterpret_cast<uintptr_t>(this)) + ".ply");
    return path_;
  }

  fs::path path_;
  std::unique_ptr<RowSink> sink_;
  std::unique_ptr<RowSource> source_;
};

// Calls body(rows, first) for all rows, some at a time.
template <class Body>
void in_turn(const RowSource& source, const Body& body) {
  for (int64_t first = 0; first < source.size(); first += kRowsAtOnce) {
    if (const int code = interrupted()) throw Interrupted{code};
    body(source.rows(first, std::min(kRowsAtOnce, source.size() - first)), first);
  }
}

}  // namespace

std::unique_ptr<RowSource> open_rows(const fs::path& path, const ReadOptions& reading) {
  const SceneFormat* format = format_of(path);
  return format && format->open ? format->open(path, reading) : nullptr;
}

bool can_stream(const fs::path& in, const fs::path& out, const std::string& format) {
  const SceneFormat* from = format_of(in);
  std::error_code ignored;
  const bool plain = !fs::exists(out, ignored) || fs::is_regular_file(out, ignored);
  return plain && from && from->open && open_rows(in) && format_of_output(out, format).create;
}

Streamed stream_scene(const fs::path& in, const ReadOptions& reading, const fs::path& out,
                      const WriteOptions& writing, const std::string& name, const RowEdit& edit) {
  const SceneFormat* from = format_of(in);
  const SceneFormat& to = format_of_output(out, name);
  const std::unique_ptr<RowSource> source = from && from->open ? from->open(in, reading) : nullptr;
  if (!source || !to.create)
    throw Error(ExitCode::kFailed, "the scene is not read or written by rows",
                source ? out.string() : in.string());
  const auto edited = [&](Cloud rows, int64_t first) {
    rows = accepted(std::move(rows), *from, in, reading, first);
    return edit ? edit(rows, first) : rows;
  };
  const Cloud like = edited(source->like(), 0);
  Streamed done;
  done.read = accepted(source->like(), *from, in, reading);
  done.written = prepared(like, to, out, writing);
  done.rows_read = source->size();

  const auto write = [&](RowSink& sink, const Cloud& rows) {
    sink.append(rows);
    done.rows_written += rows.size();
  };
  const auto finish = [&](RowSink& sink) {
    sink.commit();
    done.lost = losses(to, like, writing, sink.lost());
    return done;
  };
  if (to.order == RowOrder::kAsTheyCome) {
    const auto sink = to.create(out, {done.written, source->size(), 0}, writing);
    in_turn(*source, [&](Cloud rows, int64_t first) {
      write(*sink, prepared(edited(std::move(rows), first), to, out, writing, first));
    });
    return finish(*sink);
  }

  // What an edit leaves is written once as it is, so that its rows have places.
  std::unique_ptr<Waiting> waiting;
  const bool changes = edit || reading.not_finite == "drop";
  if (changes) {
    waiting = std::make_unique<Waiting>(out, RowPlan{like, source->size(), 0});
    in_turn(*source,
            [&](Cloud rows, int64_t first) { waiting->append(edited(std::move(rows), first)); });
  }
  const RowSource& rows_of = changes ? waiting->read() : *source;
  const auto ready = [&](Cloud rows, int64_t first) {
    if (!changes) rows = edited(std::move(rows), first);
    return prepared(rows, to, out, writing, first);
  };

  // The order, and what the format must know of all rows.
  const bool sorts = !writing.keep_order;
  float farthest = 0;
  std::vector<int64_t> places;
  {
    std::vector<float> means;
    std::vector<double> weights;
    if (sorts && to.order == RowOrder::kMorton)
      means.reserve(3 * static_cast<size_t>(rows_of.size()));
    if (sorts && to.order == RowOrder::kWeight)
      weights.reserve(static_cast<size_t>(rows_of.size()));
    in_turn(rows_of, [&](Cloud rows, int64_t first) {
      rows = ready(std::move(rows), first);
      const CloudValues values(rows);
      for (int64_t i = 0; i < 3 * values.n; ++i)
        farthest = std::max(farthest, std::abs(values.means[i]));
      if (sorts && to.order == RowOrder::kMorton)
        means.insert(means.end(), values.means, values.means + 3 * values.n);
      if (sorts && to.order == RowOrder::kWeight) append_weights(rows, weights);
    });
    if (sorts)
      places = to.order == RowOrder::kMorton ? geometry::morton_order(means.data(), rows_of.size())
                                             : places_by_weight(weights);
  }

  const auto sink = to.create(out, {done.written, rows_of.size(), farthest}, writing);
  if (sorts) {
    for (int64_t first = 0; first < rows_of.size(); first += kRowsAtOnce) {
      if (const int code = interrupted()) throw Interrupted{code};
      const auto some = std::span<const int64_t>(places).subspan(
          static_cast<size_t>(first),
          static_cast<size_t>(std::min(kRowsAtOnce, rows_of.size() - first)));
      write(*sink, ready(rows_of.rows(some), first));
    }
  } else {
    in_turn(rows_of,
            [&](Cloud rows, int64_t first) { write(*sink, ready(std::move(rows), first)); });
  }
  return finish(*sink);
}

}  // namespace covary::scene
