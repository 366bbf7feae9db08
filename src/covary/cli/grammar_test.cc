#include "covary/cli/grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "covary/cli/help.h"
#include "covary/cli/presets.h"
#include "covary/cli/verb_table.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::vector<std::string> words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> out;
  for (std::string w; in >> w;) out.push_back(w);
  return out;
}

Invocation run(const std::string& line) {
  const Parsed p = parse(words(line));
  EXPECT_TRUE(p.invocation.has_value()) << line;
  return p.invocation.value_or(Invocation{});
}

std::string text(const std::string& line) {
  const Parsed p = parse(words(line));
  EXPECT_FALSE(p.invocation.has_value()) << line;
  return p.text;
}

Error refused(const std::string& line) {
  try {
    parse(words(line));
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage) << line;
    EXPECT_FALSE(e.hint().empty()) << line;
    EXPECT_FALSE(e.where().empty()) << line;
    return e;
  }
  ADD_FAILURE() << "accepted: " << line;
  return Error(ExitCode::kFailed, "none");
}

class ConfigTest : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& content) {
    fs::create_directories((folder / name).parent_path());
    write_file(folder / name, content);
    return (folder / name).string();
  }
  const TemporaryFolder temporary{"grammar"};
  const fs::path folder = temporary.path();
};

TEST(Grammar, InputsOutputsAndOptionsMayStandAnywhere) {
  const Invocation v = run("train --steps 500 data/fox -o out --seed=7 --no-normalize");
  EXPECT_EQ(v.verb, "train");
  EXPECT_THAT(v.inputs, ElementsAre("data/fox"));
  EXPECT_THAT(v.outputs, ElementsAre("out"));
  EXPECT_EQ(v.options["steps"], 500);
  EXPECT_EQ(v.options["capture"]["normalize"], false);
  EXPECT_EQ(v.common["seed"], 7);
  EXPECT_TRUE(v.common["tty"].is_null());
}

TEST(Grammar, OutputsRepeatAndDashesEndOptions) {
  EXPECT_THAT(run("train a -o b -o c.ply").outputs, ElementsAre("b", "c.ply"));
  EXPECT_THAT(run("info -- --odd-name").inputs, ElementsAre("--odd-name"));
  EXPECT_THAT(run("info -").inputs, ElementsAre("-"));
}

TEST(Grammar, OperationsKeepTheirOrderAmongInputs) {
  const auto steps = [](const std::string& line) {
    return run(line).options["operations"].get<std::vector<std::string>>();
  };
  EXPECT_THAT(steps("edit a.ply --translate -1,0,0 b.ply out.ply --sort --sh-degree 1"),
              ElementsAre("next_scene", "translate=-1,0,0", "next_scene", "next_scene", "sort",
                          "sh_degree=1"));
  EXPECT_THAT(
      steps("edit --crop-box=0,0,0,1,1,1 a.ply b.ply -o out.ply --decimate 25%"),
      ElementsAre("crop_box=0,0,0,1,1,1", "next_scene", "next_scene", "merge", "decimate=25%"));
  // As splat-transform spells them.
  EXPECT_THAT(steps("edit a.ply -t 1,2,3 -H 2 -m -V opacity,gt,0.5 -F 50% out.ply"),
              ElementsAre("next_scene", "translate=1,2,3", "sh_degree=2", "sort",
                          "filter_value=opacity,gt,0.5", "decimate=50%", "next_scene"));
  EXPECT_THAT(run("edit a.ply out.ply --sort --sort").inputs, ElementsAre("a.ply", "out.ply"));
  refused("edit a.ply out.ply --translate 1,2");
  refused("edit a.ply out.ply --decimate");
  refused("edit a.ply out.ply --recolour exposre=1");
}

TEST(Grammar, UnderscoresAreAcceptedForDashes) {
  EXPECT_EQ(run("train a --sh_degree 2").options, run("train a --sh-degree 2").options);
  EXPECT_EQ(run("train a --set ssim-weight=0.5").options,
            run("train a --set loss.ssim_weight=0.5").options);
}

TEST(Grammar, FlagsAndSetsWinInTheOrderTyped) {
  EXPECT_EQ(run("train a --steps 1 --set steps=2 --steps 3").options["steps"], 3);
  EXPECT_EQ(run("train a --steps 1 --steps 3 --set steps=2").options["steps"], 2);
  EXPECT_EQ(run("train a --steps 9 --preset preview").options["steps"],
            9);  // presets come first, wherever they stand
  EXPECT_EQ(run("train a --preset paper --preset preview").options["steps"], 500);
  EXPECT_EQ(run("train a --preset preview --preset paper").options["steps"], 30000);
  EXPECT_EQ(run("train a --set seed=5").common["seed"], 5);
}

TEST(Grammar, ABareFlagTakesTheNextWordOnlyIfItIsAChoice) {
  const Invocation a = run("train --antialias data/fox");
  EXPECT_EQ(a.options["antialias"], "mip");
  EXPECT_THAT(a.inputs, ElementsAre("data/fox"));
  EXPECT_EQ(run("train --antialias none data/fox").options["antialias"], "none");
  EXPECT_EQ(run("train data/fox --antialias=none").options["antialias"], "none");
}

TEST(Grammar, SizesTimesAndLists) {
  const Invocation v = run("train a --max-memory 4G --time-budget 5min");
  EXPECT_EQ(v.common["max_memory"], int64_t{4} << 30);
  EXPECT_EQ(v.common["time_budget"], 300);
  EXPECT_EQ(run("render a --modes rgb,depth").options["modes"].size(), 2u);
}

TEST(Grammar, ProgressStyleIsAutomaticUnlessForced) {
  EXPECT_EQ(run("train a --tty").common["tty"], true);
  EXPECT_EQ(run("train a --no-tty").common["tty"], false);
}

TEST(Grammar, WordsOfOtherProgramsAreUnderstood) {
  EXPECT_EQ(run("fit a").verb, "train");
  EXPECT_EQ(run("play out -o a.mp4").verb, "render");
  const Invocation v =
      run("train -s data -m out --iterations 7 --sh 1 --cap-max 100 --eval -r 4 -y --random-state "
          "3 --headless "
          "--lambda-dssim 0.5");
  EXPECT_THAT(v.inputs, ElementsAre("data"));
  EXPECT_THAT(v.outputs, ElementsAre("out"));
  EXPECT_EQ(v.options["steps"], 7);
  EXPECT_EQ(v.options["sh_degree"], 1);
  EXPECT_EQ(v.options["max_gaussians"], 100);
  EXPECT_EQ(v.options["capture"]["test_every"], 8);
  EXPECT_EQ(v.options["capture"]["downscale"], 4);
  EXPECT_EQ(v.options["loss"]["ssim_weight"], 0.5);
  EXPECT_EQ(v.common["overwrite"], true);
  EXPECT_EQ(v.common["seed"], 3);
  for (const char* flag :
       {"--out", "--output-dir", "--output-path", "--result-dir", "--model-path"})
    EXPECT_THAT(run(std::string("train a ") + flag + " b").outputs, ElementsAre("b")) << flag;
  for (const char* flag : {"--source-path", "--data", "--data-dir", "--data-path", "--capture"})
    EXPECT_THAT(run(std::string("train ") + flag + " b").inputs, ElementsAre("b")) << flag;
  for (const char* flag : {"--iters", "--max-steps", "--num-iters"})
    EXPECT_EQ(run(std::string("train a ") + flag + " 9").options["steps"], 9) << flag;
  for (const char* flag :
       {"--resolution", "--downscale-factor", "--data-factor", "--resize-factor"})
    EXPECT_EQ(run(std::string("train a ") + flag + " 2").options["capture"]["downscale"], 2)
        << flag;
  for (const char* flag : {"--eval-interval", "--eval-split-every"})
    EXPECT_EQ(run(std::string("train a ") + flag + " 5").options["capture"]["test_every"], 5)
        << flag;
  EXPECT_EQ(run("train a --vram 1G").common["max_memory"], int64_t{1} << 30);
}

TEST(Grammar, TheRunComesFirstInVerbsThatReadOne) {
  EXPECT_THAT(run("eval -s data -m out").inputs, ElementsAre("out", "data"));
}

TEST(Grammar, DashDIsRefusedWithAHint) {
  EXPECT_THAT(refused("train -d data").hint(), HasSubstr("--downscale"));
}

TEST(Grammar, WrongWordsNameTheNearest) {
  EXPECT_THAT(refused("trian a").hint(), HasSubstr("covary train"));
  EXPECT_THAT(refused("train a --stepps 5").hint(), HasSubstr("--steps"));
  EXPECT_THAT(refused("train a --overwirte").hint(), HasSubstr("--overwrite"));
  EXPECT_THAT(refused("train a --prset x").hint(), HasSubstr("--preset"));
  EXPECT_THAT(refused("train a --strategy mcmcc").hint(), HasSubstr("mcmc"));
  EXPECT_THAT(refused("train a --set loss.ssim_wieght=1").hint(), HasSubstr("loss.ssim_weight"));
  EXPECT_THAT(refused("train a --preset previw").hint(), HasSubstr("preview"));
  EXPECT_THAT(refused("eval a --strategy mcmc").hint(), HasSubstr("covary train"));
  EXPECT_THAT(refused("train a --step 5").hint(), HasSubstr("--steps"));  // no abbreviations
}

TEST(Grammar, AMethodOrSystemTypedAsAVerbPrintsTheCommand) {
  EXPECT_THAT(refused("mcmc data").hint(), HasSubstr("covary train CAPTURE --strategy mcmc"));
  EXPECT_THAT(refused("core-3dgs data").hint(), HasSubstr("covary train CAPTURE"));
  EXPECT_THAT(refused("kde x").hint(), HasSubstr("write covary density fit TABLE --method kde"));
  EXPECT_THAT(refused("gmm x").hint(), HasSubstr("write covary mixture fit TABLE -k 1:8"));
  EXPECT_THAT(refused("sinkhorn x").hint(), HasSubstr("covary bridge fit"));
  EXPECT_THAT(refused("sinkhorn x").hint(), HasSubstr("not in this version"));
}

TEST(Grammar, APlannedVerbSaysSoAndIsNotListed) {
  const Error e = refused("compress a");
  EXPECT_THAT(e.what(), HasSubstr("not in this version"));
  for (const std::string& verb : planned_verbs()) {
    EXPECT_EQ(find_verb(verb), nullptr) << verb;
    EXPECT_THAT(overview(), Not(HasSubstr("\n  " + verb + " "))) << verb;
  }
  EXPECT_THAT(refused("deform a").what(), HasSubstr("animate"));
}

TEST(Grammar, EveryVerbIsBuiltOrPlannedOnce) {
  EXPECT_EQ(verbs().size() + planned_verbs().size(), 29u);
}

TEST(Grammar, ValuesAreChecked) {
  EXPECT_THAT(refused("train a --steps").what(), HasSubstr("--steps: expects a value"));
  EXPECT_THAT(refused("train a --steps --seed 3").what(), HasSubstr("--steps"));
  EXPECT_THAT(refused("train a --steps 0").hint(), HasSubstr("between 1"));
  EXPECT_THAT(refused("train a --steps 1.5").what(), HasSubstr("whole number"));
  EXPECT_THAT(refused("train a --overwrite=perhaps").what(), HasSubstr("true or false"));
  EXPECT_THAT(refused("train a --no-overwrite=true").what(), HasSubstr("takes no value"));
  EXPECT_THAT(refused("train a --set steps").hint(), HasSubstr("--set loss.ssim_weight=0.3"));
  EXPECT_THAT(refused("train a -o").what(), HasSubstr("expects OUTPUT"));
  EXPECT_THAT(refused("render a --modes rgb,rgb").what(), HasSubstr("twice"));
}

TEST(Grammar, ContradictionsAreRefused) {
  EXPECT_THAT(refused("train a --resume --overwrite").where(), HasSubstr("--resume"));
  EXPECT_THAT(refused("train a -q -v").where(), HasSubstr("--quiet"));
  EXPECT_THAT(refused("train a --strategy mcmc --grad-threshold 1").hint(),
              HasSubstr("--strategy default"));
  EXPECT_THAT(refused("train a --repeats 3").hint(), HasSubstr("--sweep"));
  EXPECT_THAT(refused("gp fit a --target y --resume").what(), HasSubstr("for sweeps"));
  EXPECT_THAT(refused("gp predict a b --sweep kernel=rbf").hint(), HasSubstr("gp fit"));
  EXPECT_THAT(refused("gp fit a --target y --sweep mean=odd").where(), HasSubstr("mean"));
}

TEST(Grammar, WhatABuildLacksIsSaid) {
  EXPECT_THAT(refused("train a --device cuda:0").what(), HasSubstr("no CUDA"));
  EXPECT_THAT(refused("train a --device tpu").hint(), HasSubstr("auto and cpu"));
  EXPECT_THAT(refused("info a --resume").what(), HasSubstr("not in this version of covary info"));
  EXPECT_THAT(refused("eval a --lpips onnx:a.onnx").hint(), HasSubstr("TorchScript"));
}

TEST(Grammar, AVerbThatCannotHonourAnOptionSaysWhyAndWhatToUse) {
  EXPECT_THAT(refused("train a --precision double").what(), HasSubstr("training is in float"));
  EXPECT_THAT(refused("train a --precision double").hint(), HasSubstr("covary eval RUN"));
  EXPECT_THAT(refused("study a --precision double").what(), HasSubstr("own precision"));
  for (const char* verb : {"train", "eval", "render", "info", "study"})
    EXPECT_EQ(run(std::string(verb) + " a --precision float").common["precision"], "float");
  for (const char* verb : {"eval", "render", "info"})
    EXPECT_EQ(run(std::string(verb) + " a --precision double").common["precision"], "double");
  for (const char* verb : {"eval", "render", "info", "study"}) {
    const std::string line = std::string(verb) + " a ";
    EXPECT_THAT(refused(line + "--from load").what(), HasSubstr("no stages"));
    EXPECT_THAT(refused(line + "--until train").hint(), HasSubstr("covary train"));
    EXPECT_THAT(refused(line + "--parity").hint(), HasSubstr("covary train CAPTURE --parity"));
    EXPECT_THAT(refused(line + "--set parity=true").where(), HasSubstr("--set parity"));
  }
  EXPECT_THAT(refused("render a --plot a.png").hint(), HasSubstr("-o FILE.png"));
  EXPECT_THAT(refused("info a --report a.json").hint(), HasSubstr("--json=FILE"));
  EXPECT_THAT(refused("study a --plot a.png").hint(), HasSubstr("-o DIR"));
  EXPECT_THAT(refused("study a --time-budget 5s").what(), HasSubstr("scale"));
  EXPECT_THAT(refused("info a --max-memory 1G").what(), HasSubstr("no long work"));
  for (const char* verb : {"train", "eval", "render"})
    EXPECT_EQ(run(std::string(verb) + " a --max-memory 1G --time-budget 5s").common["time_budget"],
              5);
}

TEST(Grammar, FilesOfReportAndPlotHaveAKindThatTheVerbWrites) {
  EXPECT_EQ(run("train a --report r.csv --plot p.png").common["report"], "r.csv");
  EXPECT_EQ(run("eval a --report r.html --plot p.html").common["plot"], "p.html");
  EXPECT_EQ(run("render a --report r.json").common["report"], "r.json");
  EXPECT_THAT(refused("eval a --report r.pdf").hint(), HasSubstr(".json, .csv or .html"));
  EXPECT_THAT(refused("eval a --report r").hint(), HasSubstr(".json, .csv or .html"));
  EXPECT_THAT(refused("render a --report r.html").hint(), HasSubstr(".json or .csv"));
  EXPECT_THAT(refused("train a --plot p.csv").hint(), HasSubstr(".html or .png"));
  EXPECT_THAT(refused("train a --report r.csv --sweep steps=1,2").hint(), HasSubstr("table.csv"));
}

TEST(Grammar, StagesAreNamedAndInOrder) {
  EXPECT_EQ(run("train a --until train").common["until"], "train");
  EXPECT_EQ(run("train a --resume --from evaluate --until evaluate").common["from"], "evaluate");
  EXPECT_THAT(refused("train a --until trian").hint(), HasSubstr("did you mean train?"));
  EXPECT_THAT(refused("train a --until trian").hint(), HasSubstr("load, train, evaluate, report"));
  EXPECT_THAT(refused("train a --from nowhere").hint(), HasSubstr("load, train, evaluate, report"));
  EXPECT_THAT(refused("train a --from train --until load").what(), HasSubstr("comes after"));
  EXPECT_THAT(refused("train a --from evaluate").hint(), HasSubstr("--resume --from evaluate"));
  EXPECT_THAT(refused("train a --resume --from report --sweep steps=1,2").what(),
              HasSubstr("a sweep trains"));
  EXPECT_THAT(refused("train a --until evaluate --plot p.png").what(), HasSubstr("stage report"));
}

TEST(Grammar, ParityLiesBelowEverythingElse) {
  const Invocation v = run("train a --parity");
  EXPECT_EQ(recorded_options(v)["parity"], true);
  EXPECT_EQ(v.options["default"]["start"], 500);
  EXPECT_EQ(v.options["default"]["stop"], 15000);
  EXPECT_EQ(v.options["sh_every"], 1000);
  EXPECT_EQ(v.options["optimizer"]["visible_only"], false);
  EXPECT_EQ(v.options["optimizer"]["lr_means_final_factor"], 0.01);
  // the rate of the means has come as far as in 30,000 steps
  EXPECT_NEAR(run("train a --parity --steps 15000").options["optimizer"]["lr_means_final_factor"],
              0.1, 1e-12);
  const Invocation m = run("train a --parity --strategy mcmc --steps 700");
  EXPECT_EQ(m.options["mcmc"]["start"], 500);
  EXPECT_EQ(m.options["mcmc"]["stop"], 25000);
  EXPECT_EQ(m.options["mcmc"]["growth"], 1.05);
  EXPECT_FALSE(m.options.contains("default"));
  EXPECT_EQ(run("train a --set sh_every=7 --parity").options["sh_every"], 7);
  EXPECT_EQ(run("train a --parity --visible-only").options["optimizer"]["visible_only"], true);
  EXPECT_EQ(run("train a --preset preview --parity").options["steps"], 500);
  EXPECT_EQ(run("train a --set parity=true").options, v.options);
  EXPECT_EQ(run("train a --no-parity").options, run("train a").options);
  EXPECT_THAT(refused("train a --parity --sweep steps=1,2").what(),
              HasSubstr("cannot be swept with --parity"));
}

TEST(Grammar, PositionalsAreCounted) {
  EXPECT_THAT(refused("train").hint(), HasSubstr("covary train data/fox -o"));
  EXPECT_THAT(refused("train a b").hint(), HasSubstr("-o b"));
  EXPECT_THAT(refused("train a steps=5").hint(), HasSubstr("--set steps=5"));
  EXPECT_THAT(refused("train a steps").hint(), HasSubstr("--steps"));
  EXPECT_THAT(refused("-o out train a").hint(), HasSubstr("covary train"));
  EXPECT_THAT(refused("-steps 5").hint(), HasSubstr("the verb comes first"));
  EXPECT_THAT(refused("train a -steps 5").hint(), HasSubstr("--steps"));
}

TEST(Grammar, JsonNeverSwallowsAnInput) {
  const Invocation v = run("info --json a.ply");
  EXPECT_TRUE(v.json);
  EXPECT_THAT(v.inputs, ElementsAre("a.ply"));
  EXPECT_EQ(run("info a.ply --json=o.json").json_file, "o.json");
  EXPECT_EQ(run("study core-3dgs --json o.json").json_file, "o.json");
  bool json = false;
  std::string file;
  find_json({"info", "x", "--json=o.json"}, &json, &file);
  EXPECT_TRUE(json);
  EXPECT_EQ(file, "o.json");
  find_json({"info", "--", "--json"}, &json, &file);
  EXPECT_FALSE(json);
}

TEST(Grammar, SweepsAreCheckedBeforeAnythingRuns) {
  const Invocation v =
      run("train sample:studio --sweep sh_degree=0,1 --sweep data.views=20,40 --repeats 2");
  ASSERT_EQ(v.sweeps.size(), 2u);
  EXPECT_EQ(v.sweeps[0].key, "sh_degree");
  EXPECT_THAT(v.sweeps[1].values, ElementsAre("20", "40"));
  EXPECT_THAT(run("train a --sweep background=0,0,0;1,1,1").sweeps[0].values,
              ElementsAre("0,0,0", "1,1,1"));
  EXPECT_THAT(refused("train a --sweep sh_degree=1,9").where(), HasSubstr("--sweep"));
  EXPECT_THAT(refused("train a --sweep sh_degre=1").hint(), HasSubstr("sh_degree"));
  EXPECT_THAT(refused("train a --sweep data.views=1").hint(), HasSubstr("sample:"));
  EXPECT_THAT(refused("train a --sweep steps=1 --sweep steps=2").what(), HasSubstr("twice"));
  EXPECT_THAT(refused("eval a --sweep steps=1").what(), HasSubstr("not in this version"));
}

TEST(Grammar, HelpIsAlwaysATextAndListsWhatThereIs) {
  EXPECT_EQ(parse({}).text, overview());
  for (const Verb& v : verbs()) EXPECT_THAT(overview(), HasSubstr("\n  " + v.name + " "));
  for (const Verb* v : commands()) {
    EXPECT_THAT(text(v->name + " --help"), StartsWith("usage: covary " + v->name));
    EXPECT_GE(text(v->name + " --help=all").size(), text(v->name + " --help").size() - 80);
    const auto schema = nlohmann::json::parse(text(v->name + " --help=json"));
    EXPECT_EQ(schema["options"]["type"], "object");
    EXPECT_TRUE(schema["common"]["properties"].contains("seed"));
  }
  EXPECT_THAT(text("train --stepps --help"), HasSubstr("usage"));
  EXPECT_THAT(text("--version"), StartsWith("covary "));
  EXPECT_THAT(text("train --list"), HasSubstr("--strategy mcmc"));
  EXPECT_THAT(text("--help=json"), HasSubstr("\"render\""));
  EXPECT_THAT(text("info --help=all"), Not(HasSubstr("--resume")));
  EXPECT_THAT(text("help train"), StartsWith("usage: covary train"));
}

TEST(Grammar, AnActionIsTheSecondWordAndHasItsOwnOptions) {
  const Invocation v = run("mixture fit t.csv -k 1:3 --covariance full,tied -o m.json --seed 3");
  EXPECT_EQ(v.verb, "mixture fit");
  EXPECT_THAT(v.inputs, ElementsAre("t.csv"));
  EXPECT_EQ(v.options["components"], nlohmann::json({1, 2, 3}));
  EXPECT_THAT(run("mixture predict m.json t.csv").inputs, ElementsAre("m.json", "t.csv"));
  EXPECT_EQ(run("mixture train t.csv").verb, "mixture fit");
  EXPECT_EQ(run("mixture sample m.json -n 5").options["samples"], 5);
  EXPECT_THAT(refused("mixture").hint(), HasSubstr("fit, predict, score"));
  EXPECT_THAT(refused("mixture -k 3").what(), HasSubstr("no action"));
  EXPECT_THAT(refused("mixture t.csv").hint(), HasSubstr("the actions are fit"));
  EXPECT_THAT(refused("mixture predcit m t").hint(), HasSubstr("covary mixture predict"));
  EXPECT_THAT(refused("mixture predict m.json").what(), HasSubstr("no MODEL"));
  EXPECT_THAT(refused("mixture inspect m.json --covariance full").hint(),
              HasSubstr("an option of covary mixture fit"));
  EXPECT_THAT(refused("mixture score m t --plot a.html").what(), HasSubstr("covary mixture score"));
  EXPECT_THAT(text("mixture --help"), HasSubstr("predict"));
  EXPECT_THAT(text("mixture --list"), HasSubstr("mixture select"));
  EXPECT_THAT(text("help mixture fit"), StartsWith("usage: covary mixture fit TABLE"));
  const auto schema = nlohmann::json::parse(text("mixture --help=json"));
  EXPECT_EQ(schema["actions"][0]["verb"], "mixture fit");
}

TEST_F(ConfigTest, AConfigNamesVerbAndAction) {
  const std::string path = file(
      "m.json", R"({"verb": "mixture fit", "inputs": ["t.csv"], "options": {"criterion": "icl"}})");
  const Invocation v = run("--config " + path);
  EXPECT_EQ(v.verb, "mixture fit");
  EXPECT_THAT(v.inputs, ElementsAre("t.csv"));
  EXPECT_EQ(run("mixture fit --config " + path).options["criterion"], "icl");
  EXPECT_THAT(refused("mixture select --config " + path).what(), HasSubstr("covary mixture fit"));
}

TEST(Grammar, OptionsOfAMixtureBelongToItsMethod) {
  EXPECT_EQ(run("mixture fit t --floor 1e-4").options["em"]["floor"], 1e-4);
  EXPECT_EQ(run("mixture fit t --method vb --concentration 2").options["vb"]["concentration"], 2);
  EXPECT_THAT(refused("mixture fit t --concentration 2").hint(), HasSubstr("--method vb"));
  EXPECT_THAT(refused("mixture fit t --method kmeans -k 2,3").hint(), HasSubstr("-k 8"));
  EXPECT_THAT(refused("mixture fit t --method vb -k 2:5").hint(), HasSubstr("-k 20"));
  EXPECT_THAT(refused("mixture fit t --method vb --covariance tied").where(),
              HasSubstr("--covariance"));
  EXPECT_THAT(refused("mixture fit t -k 2.5").what(), HasSubstr("whole numbers"));
  EXPECT_THAT(refused("mixture fit t --plot-columns a").hint(), HasSubstr("--plot-columns"));
  EXPECT_THAT(refused("mixture fit t --init given").where(), HasSubstr("--init"));
  EXPECT_THAT(refused("density fit t --bandwidth wide").hint(), HasSubstr("silverman"));
}

TEST(Grammar, EveryPresetNamesOptionsThatExist) {
  for (const Preset& p : presets()) {
    ASSERT_NE(find_verb(p.verb), nullptr);
    EXPECT_NO_THROW(parse({p.verb, "input", "--preset", p.name})) << p.name;
  }
}

TEST(Grammar, TheInvocationSurvivesItsJson) {
  const Invocation v =
      run("train sample:studio,views=9 -o out --steps 5 --sweep seed=1,2 --json=a.json -v");
  const Invocation w = Invocation::from_json(nlohmann::json::parse(v.to_json().dump()));
  EXPECT_EQ(v.to_json(), w.to_json());
  EXPECT_EQ(recorded_options(w)["seed"], 42);
  EXPECT_EQ(recorded_options(w)["steps"], 5);
}

TEST_F(ConfigTest, AConfigComesBeforeFlagsAndAfterPresets) {
  const std::string path =
      file("a.json", R"({"steps": 77, "loss": {"ssim_weight": 0.4}, "seed": 9})");
  const Invocation v = run("train a --sh-degree 1 --config " + path + " --preset preview");
  EXPECT_EQ(v.options["steps"], 77);
  EXPECT_EQ(v.options["loss"]["ssim_weight"], 0.4);
  EXPECT_EQ(v.options["sh_degree"], 1);
  EXPECT_EQ(v.options["capture"]["downscale"], 4);  // of the preset
  EXPECT_EQ(v.common["seed"], 9);
  EXPECT_EQ(run("train a --steps 5 --config " + path).options["steps"], 5);
  EXPECT_EQ(run("train a --preset " + path).options["steps"], 77);
}

TEST_F(ConfigTest, ARunsConfigRepeatsIt) {
  const Invocation first = run("train sample:studio --steps 70 --strategy mcmc --seed 3 -o out");
  nlohmann::json record = {{"verb", "train"},
                           {"inputs", first.inputs},
                           {"output", "out"},
                           {"version", "0.1.0"},
                           {"machine", nlohmann::json::object()},
                           {"files", nlohmann::json::object()}};
  record["options"] = recorded_options(first);
  const std::string path = file("config.json", record.dump());
  const Invocation again = run("--config " + path + " -o new");
  EXPECT_EQ(again.verb, "train");
  EXPECT_EQ(again.inputs, first.inputs);
  EXPECT_EQ(again.options, first.options);
  EXPECT_EQ(again.common["seed"], 3);
  EXPECT_THAT(again.outputs, ElementsAre("new"));
  EXPECT_THAT(run("train --config " + path).outputs, ElementsAre("out"));
  EXPECT_EQ(run("--config " + path + " --strategy default").options["strategy"], "default");
  EXPECT_THAT(refused("eval a --config " + path).what(), HasSubstr("is for covary train"));
}

TEST_F(ConfigTest, ParityOfAConfigIsLaidBelowIt) {
  const std::string path = file("p.json", R"({"parity": true, "sh_every": 9})");
  const Invocation v = run("train a --config " + path);
  EXPECT_EQ(v.options["sh_every"], 9);
  EXPECT_EQ(v.options["default"]["start"], 500);
  EXPECT_THAT(refused("eval a --config " + file("q.json", R"({"parity": true})")).where(),
              HasSubstr("--parity"));
}

TEST_F(ConfigTest, AResumedRunKeepsItsOptions) {
  file(
      "out/config.json",
      R"({"verb": "train", "inputs": ["cap"], "output": "out", "options": {"steps": 123, "seed": 8}})");
  const std::string out = (folder / "out").string();
  const Invocation v = run("train -o " + out + " --resume");
  EXPECT_THAT(v.inputs, ElementsAre("cap"));
  EXPECT_EQ(v.options["steps"], 123);
  EXPECT_EQ(v.common["seed"], 8);
  EXPECT_THAT(v.outputs, ElementsAre(out));
  EXPECT_EQ(run("train cap --steps 200 -o " + out + " --resume").options["steps"], 200);
  EXPECT_EQ(run("train cap -o " + out + " --overwrite").options["steps"], 30000);
  EXPECT_THAT(refused("train -o " + out + " --resume --parity").what(), HasSubstr("began without"));
}

TEST_F(ConfigTest, WhatIsWrongInAConfigNamesFileAndField) {
  const auto where = [&](const std::string& content) {
    return refused("train a --config " + file("bad.json", content)).where();
  };
  EXPECT_THAT(where("{\"steps\": "), HasSubstr("bad.json"));
  EXPECT_THAT(where("[1, 2]"), HasSubstr("bad.json"));
  EXPECT_THAT(where(R"({"stepps": 5})"), HasSubstr("bad.json: stepps"));
  EXPECT_THAT(where(R"({"steps": "many"})"), HasSubstr("bad.json: steps"));
  EXPECT_THAT(where(R"({"verb": "train", "options": {}, "ouput": "x"})"),
              HasSubstr("bad.json: ouput"));
  EXPECT_THAT(where(R"({"verb": "train", "options": {}, "inputs": [1]})"), HasSubstr("inputs"));
  EXPECT_THAT(where(R"({"verb": "train", "options": {"resume": true, "plot": "x"}})"),
              HasSubstr("plot"));
  try {
    parse({"train", "a", "--config", (folder / "none.json").string()});
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kData);
  }
}

}  // namespace
}  // namespace covary::cli
