#include "covary/cli/verb_table.h"

#include <algorithm>
#include <map>

#include "covary/cli/convert_options.h"
#include "covary/cli/density_options.h"
#include "covary/cli/edit_options.h"
#include "covary/cli/eval_options.h"
#include "covary/cli/filter_options.h"
#include "covary/cli/gp_options.h"
#include "covary/cli/info_options.h"
#include "covary/cli/mixture_options.h"
#include "covary/cli/optimize_options.h"
#include "covary/cli/render_options.h"
#include "covary/cli/special_options.h"
#include "covary/cli/view_options.h"
#include "covary/core/eval/study_options.h"
#include "covary/splat/capture/photo_options.h"
#include "covary/splat/fit/train_options.h"
#include "covary/splat/surface/surface_options.h"

namespace covary::cli {
namespace {

template <class T>
std::unique_ptr<BoundOptions> bind() {
  return std::make_unique<BoundOptionsOf<T>>();
}

// The options of `covary study` as the other verbs have theirs. What is missing (a slug or another thing to do) is found
// when the positional is known.
struct StudyVerbOptions : eval::StudyOptions {
  void check() const {}
};

// Published systems and methods by the command that runs them, for those whose verb this version
// has or will have.
const std::map<std::string, std::string, std::less<>>& systems() {
  static const std::map<std::string, std::string, std::less<>> table = {
      {"3dgs", "train CAPTURE -o RUN"},
      {"gaussian", "train CAPTURE -o RUN"},
      {"core-3dgs", "train CAPTURE -o RUN"},
      {"core-gp", "gp fit TABLE --target COLUMN"},
      {"core-mixture", "mixture fit TABLE -k 1:8"},
      {"splat-formats", "convert IN OUT"},
      {"analytic-splatting", "train CAPTURE --antialias analytic"},
      {"coherentgs", "train CAPTURE --preset coherentgs"},
      {"compact-3dgs", "train CAPTURE --preset compact-3dgs"},
      {"convex-splatting", "train CAPTURE --primitive convex"},
      {"dsplats", "generate reconstruct MODEL VIEWS --method denoise"},
      {"gaussian-grasper", "simulate grasp RUN --text WORDS"},
      {"gaussian-head-shoulders", "train CLIP --motion bust"},
      {"gaussian-property", "segment label SCENE --capture CAPTURE"},
      {"gavatar", "generate sample --method sds --prompt WORDS"},
      {"ges", "train CAPTURE --primitive ges"},
      {"gs-dynamics", "simulate fit EPISODES --method graph"},
      {"gsgan", "generate fit IMAGES --method gan"},
      {"gvgen", "generate fit LIST --method volume"},
      {"instantsplat", "train PHOTOS --preset instantsplat"},
      {"lightgaussian", "compress SCENE --method light"},
      {"lm-gaussian", "train PHOTOS --preset lm-gaussian"},
      {"mesh-gaussian", "train CAPTURE --motion mesh --mesh MESH"},
      {"mvgs", "train CAPTURE --views-per-step 4 --cross-ray --augment"},
      {"psavatar", "train CLIP --motion head"},
      {"sc-gs", "train CAPTURE --motion control-points"},
      {"self-organizing-gaussians", "compress SCENE --method grid"},
      {"shapesplat", "train MESHES --each --views 72"},
      {"temporal-gaussian-hierarchy", "train CAPTURE --motion hierarchy"},
      {"turbo-gs", "train CAPTURE --preset turbo-gs"},
      {"uv-gaussians", "train ACTOR --motion body"},
      {"v3-volumetric-video", "train CAPTURE --motion per-frame"},
      {"volsdf", "train CAPTURE --primitive sdf"},
      {"ambient-diffusion", "flow fit IMAGES --method diffusion"},
      {"bnn-bo", "optimize run SPACE --surrogate ibnn"},
      {"compositional-nce", "density fit TABLE --method energy"},
      {"deep-kernel-machines", "gp fit TABLE --method deep-kernel"},
      {"dense-hebbian", "network fit IMAGES --method hebbian"},
      {"distribution-transformers", "bayes fit PROBLEM --method amortized"},
      {"dkf", "filter fit TABLE --method dkf"},
      {"funbat", "gp fit TABLE --method tucker"},
      {"gp-hm", "pde solve --method gp"},
      {"hierarchical-polynomials", "regress fit TABLE --method hierarchical"},
      {"ila-sdp", "mixture fit TABLE --method ila-sdp"},
      {"kde-large-dim", "density diagnose TABLE"},
      {"kinetic-optimal-paths", "flow path TABLE"},
      {"ldp-sparse-regression", "regress fit TABLE --method private"},
      {"light-sb", "bridge fit X0 X1 --method schrodinger"},
      {"linf-regression", "regress fit TABLE --method sketch"},
      {"log-bessel", "special log-i --order 1023 --x 1000"},
      {"monarch", "network project MATRIX --structure monarch:4"},
      {"ood-unlabeled", "classify fit TABLE --method robust-self-training"},
      {"pig", "pde solve PROBLEM --method gaussians"},
      {"principles-dlt", "network theory --activation gelu --show critical"},
      {"random-pruning", "network plan --arch resnet:20,16 --density 0.05"},
      {"rvgp", "gp fit MESH --method vector-field"},
      {"scale-mixture-nngp", "gp fit TABLE --scale-prior invgamma:2,2"},
      {"singular-likelihood", "density fit TABLE --method latent"},
      {"sparse-ift", "network plan --arch resnet18 --transform wide"},
      {"ssvi", "bayes fit DATA --method ssvi"},
      {"temperature-moe", "mixture fit TABLE --family experts --gate temperature"},
      {"tester-learner", "classify fit TABLE --method halfspace"},
      {"topk-moe", "mixture fit TABLE --family experts --active 2"},
      {"gmm", "mixture fit TABLE -k 1:8"},
      {"kalman", "filter run MODEL TABLE --method kalman"},
      {"sinkhorn", "bridge fit X0 X1 --method sinkhorn"},
      {"tsdf", "surface RUN --method tsdf -o MESH"},
      {"gan", "generate fit IMAGES --method gan"},
      {"mpm", "simulate run SCENE --method mpm"},
  };
  return table;
}

nlohmann::json parity_of_training(const nlohmann::json& resolved) {
  fit::TrainOptions options;
  OptionList(options).apply(resolved, "options");
  return fit::parity_options(options);
}

// A verb that is run by its actions.
Verb family(const std::string& name, const std::string& summary, const std::string& shape,
            std::vector<Verb> actions) {
  Verb v;
  v.name = name;
  v.group = "statistics";
  v.summary = summary;
  v.shape = shape;
  v.actions = std::move(actions);
  for (Verb& a : v.actions) {
    a.name = name + " " + a.name;
    a.group = v.group;
    a.sweeps = a.action() == "fit";
    if (a.sweeps) a.common = {"resume", "overwrite"};
  }
  return v;
}

Verb action(const std::string& name, const std::string& summary, const std::string& shape,
            const std::string& example, int inputs,
            std::function<std::unique_ptr<BoundOptions>()> make, bool plot = false) {
  return {name,    "",
          summary, shape,
          example, inputs,
          inputs,  std::move(make),
          {},      {},
          {},      plot ? std::vector<std::string>{"html"} : std::vector<std::string>{}};
}

Verb mixture_verb() {
  return family(
      "mixture", "mixtures of Gaussians or directions: clusters, densities, their number",
      "ACTION TABLE|MODEL",
      {action("fit", "a mixture from a table", "TABLE [-o MODEL]",
              "covary mixture fit table.csv -k 1:8 -o m.json", 1, bind<MixtureFitOptions>, true),
       action("predict", "the component of each row", "MODEL|TABLE TABLE [-o LABELS]",
              "covary mixture predict m.json table.csv -o labels.csv", 2,
              bind<MixturePredictOptions>),
       action("score", "the log-density of each row, and the mean", "MODEL|TABLE TABLE [-o FILE]",
              "covary mixture score m.json table.csv", 2, bind<MixtureScoreOptions>),
       action("sample", "new rows", "MODEL|TABLE [-o TABLE]",
              "covary mixture sample m.json -n 1000", 1, bind<MixtureSampleOptions>),
       action("select", "criteria of every number and shape", "TABLE [-o FILE]",
              "covary mixture select table.csv -k 1:8 --covariance full,tied", 1,
              bind<MixtureFitOptions>, true),
       action("inspect", "what a model holds", "MODEL", "covary mixture inspect m.json", 1,
              bind<MixtureInspectOptions>, true)});
}

Verb density_verb() {
  return family(
      "density", "kernel density estimates", "ACTION TABLE|MODEL",
      {action("fit", "widths and points into a model", "TABLE [-o MODEL]",
              "covary density fit table.csv --bandwidth silverman -o d.cov", 1,
              bind<DensityOptions>, true),
       action("score", "the log-density of each row of QUERIES", "MODEL|TABLE QUERIES [-o FILE]",
              "covary density score train.csv new.csv --rtol 1e-6", 2, bind<DensityOptions>, true),
       action("sample", "new rows", "MODEL|TABLE [-o TABLE]", "covary density sample d.cov -n 1000",
              1, bind<DensitySampleOptions>)});
}

Verb gp_verb() {
  Verb v = family(
      "gp", "Gaussian processes: regression with error bars", "ACTION TABLE|MODEL",
      {action("fit", "a process from a table", "TABLE --target NAME [-o MODEL]",
              "covary gp fit table.csv --target y --kernel \"matern52(ard)+white\" -o m.cov", 1,
              bind<GpFitOptions>, true),
       action("predict", "mean, deviation and quantiles at each row of X",
              "MODEL|TABLE X [-o FILE]", "covary gp predict m.cov x.csv --quantiles .05,.95", 2,
              bind<GpPredictOptions>),
       action("update", "more rows into a model", "MODEL TABLE [-o MODEL]",
              "covary gp update m.cov new.csv", 2, bind<GpUpdateOptions>),
       action("sample", "joint draws of the function at the rows of X", "MODEL|TABLE X [-o FILE]",
              "covary gp sample m.cov grid.csv -n 20 -o draws.npy", 2, bind<GpSampleOptions>),
       action("score", "how well it predicts: each row left out, or a table",
              "MODEL|TABLE [TABLE] [-o FILE]", "covary gp score m.cov held.csv", 2,
              bind<GpFitOptions>, true),
       action("inspect", "what a model says about itself", "MODEL|TABLE",
              "covary gp inspect m.cov --plot fit.html", 1, bind<GpFitOptions>, true)});
  for (Verb& a : v.actions) {
    if (a.action() == "score") a.min_inputs = 1;
    if (!a.plots.empty()) a.reports = {"json"};
    if (a.action() != "update") a.common.push_back("max_memory");
    if (a.action() == "fit") a.common.push_back("dry_run");
  }
  return v;
}

Verb special_verb() {
  const std::string shape = "[ORDERS] [X] [-o FILE]";
  Verb v = family(
      "special", "special functions on numbers and arrays", "ACTION [ORDERS] [X]",
      {action("log-i", "log of the modified Bessel function I_v(x), of any size", shape,
              "covary special log-i --order 1023 --x 1000", 0, bind<LogBesselOptions>),
       action("log-k", "log of the modified Bessel function K_v(x), of any size", shape,
              "covary special log-k v.npy x.npy --scaled -o out.npy", 0, bind<LogBesselOptions>),
       action("ratio", "I_(v+1)(x)/I_v(x), or of K, to full precision", shape,
              "covary special ratio --order 63 --x 50", 0, bind<BesselRatioOptions>)});
  v.group = "studies and tools";
  for (Verb& a : v.actions) {
    a.group = v.group;
    a.max_inputs = 2;
  }
  return v;
}

Verb filter_verb() {
  Verb v = family(
      "filter", "state-space models of series: Kalman filters, sigma points, particles",
      "ACTION MODEL TABLE",
      {action("fit", "a model of a series", "TABLE [-o MODEL]",
              "covary filter fit table.csv --model \"trend+seasonal(12)\" -o m.json", 1,
              bind<FilterFitOptions>, true),
       action("run", "states and innovations, step by step; - answers line by line",
              "MODEL TABLE [-o FILE]", "covary filter run m.json table.csv --ahead 12", 2,
              bind<FilterRunOptions>, true),
       action("smooth", "states given the whole series", "MODEL TABLE [-o FILE]",
              "covary filter smooth m.json table.csv --plot out.html", 2, bind<FilterRunOptions>,
              true),
       action("sample", "series of a model, or states given a table", "MODEL [TABLE] [-o FILE]",
              "covary filter sample \"pendulum(dt=0.05)\" --steps 400", 2,
              bind<FilterSampleOptions>)});
  v.actions.back().min_inputs = 1;
  return v;
}

Verb optimize_verb() {
  Verb v = family(
      "optimize", "Bayesian optimisation: the best of a black box from few evaluations",
      "ACTION SPACE|STUDY",
      {action("run", "evaluates by a command until the budget is used", "SPACE [-o STUDY]",
              "covary optimize run space.json --command './sim {x}' --budget 50 -o study", 1,
              bind<OptimizeRunOptions>, true),
       action("ask", "the next rows to evaluate", "STUDY [-o ROWS]",
              "covary optimize ask study -n 4", 1, bind<OptimizeAskOptions>),
       action("tell", "what came of them, or of earlier rows", "STUDY TABLE",
              "covary optimize tell study evaluations.csv", 2, bind<OptimizeTellOptions>, true)});
  v.actions[0].min_inputs = 0;  // --problem has its own space
  v.actions[0].common = {"resume", "overwrite"};
  return v;
}

std::string joined_inputs(const Verb& verb) {
  return verb.shape.substr(0, std::min(verb.shape.find(" -o"), verb.shape.find(" [-o")));
}

}  // namespace

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> table = {
      {"capture",
       "scenes",
       "photos or a video in, cameras out: an ordinary COLMAP folder",
       "PHOTOS|VIDEO|ZIP -o DIR",
       "covary capture holiday.mp4 -o out/holiday",
       1,
       1,
       bind<capture::PhotoOptions>,
       {"resume", "overwrite"}},
      {"train",
       "scenes",
       "a capture, photos, a video or a ZIP file in, a scene of Gaussians out",
       "CAPTURE -o RUN",
       "covary train data/fox -o out/fox",
       1,
       1,
       bind<fit::TrainOptions>,
       {"max_memory", "time_budget", "dry_run", "resume", "overwrite", "view"},
       fit::stage_names(),
       {"json", "csv", "html"},
       {"html", "png"},
       parity_of_training,
       {},
       true},
      {"eval",
       "scenes",
       "PSNR, SSIM and LPIPS of runs or scenes, side by side",
       "RUN|SCENE... [CAPTURE]",
       "covary eval out/fox",
       1,
       64,
       bind<EvalOptions>,
       {"max_memory", "time_budget", "dry_run"},
       {},
       {"json", "csv", "html"},
       {"html", "png"}},
      {"render",
       "scenes",
       "pictures or a video of a scene",
       "RUN|SCENE -o PNGS|MP4",
       "covary render out/fox --path spline -o fox.mp4",
       1,
       1,
       bind<RenderOptions>,
       {"max_memory", "time_budget", "dry_run", "overwrite"},
       {},
       {"json", "csv"}},
      {"convert",
       "scenes",
       "scene files of one format into another, several into one; cameras of a capture too",
       "RUN|SCENE|CAPTURE... OUT",
       "covary convert scene.ply scene.spz",
       1,
       256,
       bind<ConvertOptions>,
       {"dry_run", "overwrite"},
       {},
       {"json", "csv"}},
      {"surface",
       "scenes",
       "a triangle mesh of a scene, with colours: for modelling programs and for physics",
       "RUN|SCENE -o MESH",
       "covary surface out/fox -o fox.glb",
       1,
       1,
       bind<surface::SurfaceOptions>,
       {"dry_run", "overwrite"}},
      {.name = "edit",
       .group = "scenes",
       .summary = "scenes changed by a chain of operations, in the order in which they are written",
       .shape = "RUN|SCENE... OUT",
       .example = "covary edit scene.ply out.ply --filter \"opacity > 0.1\" --decimate 25%",
       .min_inputs = 1,
       .max_inputs = 256,
       .make = bind<EditOptions>,
       .common = {"dry_run", "overwrite"},
       .reports = {"json", "csv"},
       .chain = true},
      {"view",
       "scenes",
       "a scene in the browser, also while it is trained",
       "RUN|SCENE",
       "covary view out/fox",
       1,
       1,
       bind<ViewOptions>,
       {}},
      gp_verb(),
      mixture_verb(),
      density_verb(),
      filter_verb(),
      optimize_verb(),
      {"study",
       "studies and tools",
       "a published claim, measured again",
       "SLUG",
       "covary study core-3dgs",
       0,
       64,
       bind<StudyVerbOptions>,
       {"resume", "overwrite"}},
      {"info",
       "studies and tools",
       "any capture, scene or run on one screen; alone: this build and machine",
       "[FILE|CAPTURE|RUN]",
       "covary info data/fox",
       0,
       1,
       bind<InfoOptions>,
       {}},
      special_verb(),
  };
  return table;
}

const std::vector<const Verb*>& commands() {
  static const std::vector<const Verb*> list = [] {
    std::vector<const Verb*> all;
    for (const Verb& v : verbs()) {
      if (v.actions.empty()) all.push_back(&v);
      for (const Verb& action : v.actions) all.push_back(&action);
    }
    return all;
  }();
  return list;
}

const Verb* find_verb(std::string_view name) {
  for (const Verb& v : verbs())
    if (v.name == name) return &v;
  for (const Verb* v : commands())
    if (v->name == name) return v;
  return nullptr;
}

const Verb* find_action(const Verb& verb, std::string_view word) {
  if (word == "train") word = "fit";
  for (const Verb& action : verb.actions)
    if (action.action() == word) return &action;
  return nullptr;
}

std::string action_words(const Verb& verb) {
  std::string words;
  for (const Verb& action : verb.actions) words += (words.empty() ? "" : ", ") + action.action();
  return words;
}

bool takes_common(const Verb& verb, std::string_view option) {
  static const std::vector<std::string> all = {"seed",  "threads", "device", "precision",
                                               "quiet", "verbose", "tty",    "memory"};
  const auto has = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), option) != names.end();
  };
  if (option == "from" || option == "until") return !verb.stages.empty();
  if (option == "report") return !verb.reports.empty();
  if (option == "plot") return !verb.plots.empty();
  if (option == "parity") return static_cast<bool>(verb.parity);
  if (option == "repeats") return verb.sweeps;
  return has(all) || has(verb.common);
}

Refusal refusal_of(const Verb& verb, const std::string& option) {
  const std::string name = "covary " + verb.name;
  const bool study = verb.name == "study";
  if (option == "from" || option == "until")
    return {name + " has no stages to begin or stop at",
            "covary train has some: covary train CAPTURE --dry-run lists them"};
  if (option == "parity")
    return {"is about how a scene is trained, and " + name + " trains none of yours",
            "train it so: covary train CAPTURE --parity"};
  if (option == "report" || option == "plot") {
    if (study)
      return {"a study writes one document", "-o DIR keeps it with its plots and report.html"};
    if (verb.name == "render")
      return {"what covary render makes is the picture", "name it: -o FILE.png"};
    return {name + " prints all that it finds", "--json=FILE writes it to a file"};
  }
  if (option == "max_memory" || option == "time_budget") {
    if (study)
      return {"the limits of a study are those of its scale",
              "choose a scale, or some bars: --scale smoke, --bars 1"};
    return {name + " does no long work that could be planned", "leave it out"};
  }
  return {"is not in this version of " + name,
          "leave it out; " + name + " --help=all lists what there is"};
}

std::string verb_synonym(std::string_view word) {
  static const std::map<std::string, std::string, std::less<>> table = {
      {"fit", "train"},      {"process-data", "capture"}, {"viewer", "view"},
      {"play", "view"},      {"export", "convert"},       {"decompress", "convert"},
      {"deform", "animate"}, {"mesh", "surface"},         {"net", "network"},
      {"evaluate", "eval"},  {"help", "--help"}};
  const auto it = table.find(word);
  return it == table.end() ? "" : it->second;
}

const std::vector<std::string>& planned_verbs() {
  static const std::vector<std::string> names = {
      "animate", "compress", "stream", "segment", "simulate", "generate", "pde",
      "bridge",  "flow",     "bayes",  "regress", "classify", "network"};
  return names;
}

std::string command_for(std::string_view word) {
  for (const Verb* verb : commands()) {
    const auto options = verb->make();
    for (const OptionField& f : options->list().fields())
      if (word != "none" && word != "default" && word != "all" &&
          std::find(f.choices_of().begin(), f.choices_of().end(), word) != f.choices_of().end())
        return "covary " + verb->name + " " + joined_inputs(*verb) + " " +
               options->list().flag_of(f) + " " + std::string(word);
  }
  const auto it = systems().find(word);
  return it == systems().end() ? "" : "covary " + it->second;
}

const std::vector<FlagSynonym>& flag_synonyms() {
  static const std::vector<FlagSynonym> table = {{"iterations", "steps"},
                                                 {"iters", "steps"},
                                                 {"max_steps", "steps"},
                                                 {"num_iters", "steps"},
                                                 {"r", "downscale"},
                                                 {"resolution", "downscale"},
                                                 {"downscale_factor", "downscale"},
                                                 {"data_factor", "downscale"},
                                                 {"resize_factor", "downscale"},
                                                 {"cap", "max_gaussians"},
                                                 {"max_cap", "max_gaussians"},
                                                 {"cap_max", "max_gaussians"},
                                                 {"max_splats", "max_gaussians"},
                                                 {"sh", "sh_degree"},
                                                 {"lambda_dssim", "ssim_weight"},
                                                 {"eval_interval", "test_every"},
                                                 {"eval_split_every", "test_every"},
                                                 {"with_viewer", "view"},
                                                 {"random_state", "seed"},
                                                 {"eps", "epsilon"},
                                                 {"n_components", "components"},
                                                 {"vram", "max_memory"}};
  return table;
}

}  // namespace covary::cli
