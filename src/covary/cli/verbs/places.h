// Where verbs read and write: kinds of inputs by content, and outputs by extension.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/splat/fit/load.h"
#include "covary/splat/fit/train_options.h"
#include "covary/splat/scene/cameras_json.h"

namespace covary::cli {

// A run folder of covary train (config.json with its verb), finished or not.
bool is_run(const std::filesystem::path& path);
// A run or a scene file, rather than a capture.
bool is_scene(const std::filesystem::path& path);

// ./runs/NAME-N, N the first that is free.
std::filesystem::path default_run(const std::string& name);
// A short name of an input: the last folder, a file's stem, a sample's name.
std::string name_of(const std::string& input);

// What a run was trained on: the capture that it made of photos (RUN/capture), else the input that its config.json names;
// empty when unknown.
std::string capture_of(const fit::LoadedScene& scene);

// The cameras that a run wrote beside its scene; nothing where it wrote none, or for a bare file.
std::optional<scene::CameraFile> cameras_of_run(const fit::LoadedScene& scene);

bool is_empty_or_absent(const std::filesystem::path& folder);
// Error(kData) for an output that is there already, unless it may be replaced.
void keep_what_is_there(const std::filesystem::path& out, bool overwrite);

// The training options of a run, from its config.json; defaults where there is none.
fit::TrainOptions train_options_of(const nlohmann::json& config);

// "  rows            400\n"
std::string fact_line(const std::string& name, const std::string& value);
// "12.3 MB", "4.1 GB".
std::string bytes_text(double bytes);
// 18204 -> "18,204".
std::string count_text(int64_t n);
// printf of one number.
std::string number_text(const char* format, double x);

}  // namespace covary::cli
