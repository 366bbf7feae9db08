#include "covary/core/base/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "covary/core/base/error.h"

namespace covary {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Loss {
  double ssim_weight = 0.2;
  bool robust = true;
  void describe(OptionList& o) {
    o.add("ssim_weight", &ssim_weight, "share of 1 - SSIM").range(0, 1).synonym("lambda-dssim");
    o.add("robust", &robust, "downweight outliers");
  }
};

struct Adc {
  double reset_every = 3000;
  double grow = 2e-4;
  void describe(OptionList& o) {
    o.add("reset_every", &reset_every, "opacity reset").unit("steps");
    o.add("grow", &grow, "gradient threshold");
  }
};

struct Mcmc {
  double reset_every = 7;
  double noise = 5e5;
  void describe(OptionList& o) {
    o.add("reset_every", &reset_every, "relocation");
    o.add("noise", &noise, "noise factor");
  }
};

struct Options {
  int64_t steps = 30000;
  int64_t max_memory = 0;
  double budget = 0;
  bool view = false;
  std::string strategy = "default", antialias = "none", name;
  std::optional<double> lambda;
  std::vector<double> scales = {1};
  std::vector<std::string> modes = {"rgb"};
  Loss loss;
  Adc adc;
  Mcmc mcmc;
  void describe(OptionList& o) {
    o.add("steps", &steps, "optimiser steps").range(1, 1e8).common().synonym("iterations");
    o.add("max_memory", &max_memory, "memory").size();
    o.add("budget", &budget, "time").duration().common();
    o.add("view", &view, "open the viewer");
    o.add("strategy", &strategy, "when to split").choices({"default", "mcmc", "none"}).common();
    o.add("antialias", &antialias, "filter").choices({"none", "mip"}).bare("mip").common();
    o.add("name", &name, "free text").hidden();
    o.add("lambda", &lambda, "optional");
    o.add("scales", &scales, "image factors").range(0, 100);
    o.add("modes", &modes, "what to draw").choices({"rgb", "depth", "alpha"});
    o.group("loss", loss);
    o.group("default", adc).only_when("strategy", "default");
    o.group("mcmc", mcmc).only_when("strategy", "mcmc");
  }
};

Error error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage);
    return e;
  }
  ADD_FAILURE() << "no error";
  return Error(ExitCode::kFailed, "none");
}

class OptionsTest : public ::testing::Test {
 protected:
  Error refused(const std::string& path, const std::string& text) {
    return error_of([&] { list.set(path, text, "--set"); });
  }
  Options o;
  OptionList list{o};
};

TEST_F(OptionsTest, ParsesEachTypeFromText) {
  list.set("steps", "1e4", "--steps");
  list.set("view", "true", "--set");
  list.set("name", "a b", "--set");
  list.set("lambda", "0.5", "--set");
  list.set("modes", "rgb,alpha", "--modes");
  list.set("loss.ssim_weight", "0.3", "--set");
  EXPECT_EQ(o.steps, 10000);
  EXPECT_TRUE(o.view);
  EXPECT_EQ(o.name, "a b");
  EXPECT_EQ(o.lambda, 0.5);
  EXPECT_THAT(o.modes, ElementsAre("rgb", "alpha"));
  EXPECT_DOUBLE_EQ(o.loss.ssim_weight, 0.3);
  list.set("lambda", "none", "--set");
  EXPECT_FALSE(o.lambda.has_value());
}

TEST_F(OptionsTest, ParsesSizesAndDurations) {
  list.set("max_memory", "4G", "--max-memory");
  EXPECT_EQ(o.max_memory, int64_t{4} << 30);
  list.set("max_memory", "500MB", "--max-memory");
  EXPECT_EQ(o.max_memory, int64_t{500} << 20);
  list.set("max_memory", "2e9", "--max-memory");
  EXPECT_EQ(o.max_memory, 2000000000);
  list.set("budget", "5min", "--budget");
  EXPECT_DOUBLE_EQ(o.budget, 300);
  list.set("budget", "1.5h", "--budget");
  EXPECT_DOUBLE_EQ(o.budget, 5400);
  list.set("budget", "90s", "--budget");
  EXPECT_DOUBLE_EQ(o.budget, 90);
  EXPECT_THAT(refused("budget", "5 parsecs").hint(), HasSubstr("5min"));
  EXPECT_THAT(refused("max_memory", "4X").hint(), HasSubstr("4G"));
}

TEST_F(OptionsTest, ParsesListsAndRangesWithBothEnds) {
  list.set("scales", "1,2,4:5,0:1:0.5", "--scales");
  EXPECT_THAT(o.scales, ElementsAre(1, 2, 4, 5, 0, 0.5, 1));
  list.set("scales", "0:0.3:0.1", "--scales");
  EXPECT_EQ(o.scales.size(), 4u);
  EXPECT_THAT(refused("scales", "5:1").what(), HasSubstr("range a:b:step"));
  EXPECT_THAT(refused("scales", "0:1:1e-12").what(),
              HasSubstr("expected"));  // would not fit in memory
  EXPECT_THAT(refused("scales", "1,101").what(), HasSubstr("out of range"));
}

TEST_F(OptionsTest, RefusesWhatIsNoNumberWholeOrInRange) {
  EXPECT_THAT(refused("steps", "1.5").what(), HasSubstr("a whole number"));
  EXPECT_THAT(refused("steps", "many").what(), HasSubstr("'many'"));
  EXPECT_THAT(refused("steps", "").what(), HasSubstr("expected"));
  EXPECT_THAT(refused("steps", "nan").what(), HasSubstr("expected"));
  EXPECT_THAT(refused("loss.ssim_weight", "inf").what(), HasSubstr("expected"));
  const Error e = refused("steps", "0");
  EXPECT_EQ(e.where(), "--set steps");
  EXPECT_EQ(e.hint(), "it must be between 1 and 100000000");
  EXPECT_EQ(o.steps, 30000);
}

TEST_F(OptionsTest, AWrongChoiceNamesTheNearest) {
  const Error e = error_of([&] { list.set("strategy", "mcmcc", "--strategy"); });
  EXPECT_EQ(e.where(), "--strategy");
  EXPECT_THAT(e.hint(), HasSubstr("did you mean mcmc?"));
  EXPECT_THAT(e.hint(), HasSubstr("default, mcmc, none"));
  EXPECT_THAT(refused("modes", "rgb,dept").hint(), HasSubstr("depth"));
}

TEST_F(OptionsTest, AnUnknownPathNamesTheNearest) {
  EXPECT_THAT(refused("stepps", "5").hint(), HasSubstr("did you mean steps?"));
  EXPECT_THAT(refused("loss.sim_weight", "5").hint(), HasSubstr("loss.ssim_weight"));
  EXPECT_THAT(refused("ssim_wieght", "5").hint(), HasSubstr("loss.ssim_weight"));
  EXPECT_THAT(refused("zzz", "5").hint(), HasSubstr("--help=all"));
}

TEST_F(OptionsTest, TheLastWordIsEnoughWhenUnique) {
  list.set("ssim-weight", "0.4", "--set");
  EXPECT_DOUBLE_EQ(o.loss.ssim_weight, 0.4);
  EXPECT_THAT(refused("reset_every", "5").hint(),
              HasSubstr("default.reset_every, mcmc.reset_every"));
}

TEST_F(OptionsTest, FlagsAreLastWordsOrWholePathsAndSynonyms) {
  EXPECT_EQ(list.find_flag("steps")->path(), "steps");
  EXPECT_EQ(list.find_flag("ssim-weight")->path(), "loss.ssim_weight");
  EXPECT_EQ(list.find_flag("ssim_weight")->path(), "loss.ssim_weight");
  EXPECT_EQ(list.find_flag("lambda-dssim")->path(), "loss.ssim_weight");
  EXPECT_EQ(list.find_flag("iterations")->path(), "steps");
  EXPECT_EQ(list.find_flag("mcmc-reset-every")->path(), "mcmc.reset_every");
  EXPECT_EQ(list.find_flag("loss.ssim_weight")->path(), "loss.ssim_weight");
  EXPECT_EQ(list.find_flag("reset-every"), nullptr);
  EXPECT_EQ(list.find_flag("step"), nullptr);  // no abbreviations
  EXPECT_EQ(list.nearest_flag("step"), "--steps");
  EXPECT_EQ(list.nearest_flag("no-veiw"), "--no-view");
  EXPECT_EQ(list.flag_of(*list.find_flag("mcmc-reset-every")), "--mcmc-reset-every");
}

TEST_F(OptionsTest, NoXNegatesBooleansOnly) {
  bool negated = false;
  EXPECT_EQ(list.find_flag("no-robust", &negated)->path(), "loss.robust");
  EXPECT_TRUE(negated);
  EXPECT_EQ(list.find_flag("robust", &negated)->path(), "loss.robust");
  EXPECT_FALSE(negated);
  EXPECT_EQ(list.find_flag("no-steps", &negated), nullptr);
}

TEST_F(OptionsTest, ABareFlagTakesTheNextWordOnlyIfItIsAChoice) {
  const std::string mip = "mip", folder = "data/fox";
  const OptionField& antialias = *list.find_flag("antialias");
  EXPECT_TRUE(list.takes_value(antialias, &mip));
  EXPECT_FALSE(list.takes_value(antialias, &folder));
  EXPECT_FALSE(list.takes_value(antialias, nullptr));
  EXPECT_TRUE(list.takes_value(*list.find_flag("steps"), &folder));
  EXPECT_FALSE(list.takes_value(*list.find_flag("view"), &folder));
}

TEST_F(OptionsTest, JsonNestedOrFlatGivesTheSame) {
  Options flat;
  OptionList flat_list(flat);
  list.apply(
      {{"steps", 7}, {"loss", {{"ssim_weight", 0.5}, {"robust", false}}}, {"scales", {1, 2}}},
      "a.json");
  flat_list.apply({{"steps", "7"}, {"loss.ssim_weight", 0.5}, {"robust", false}, {"scales", "1,2"}},
                  "b.json");
  EXPECT_EQ(list.to_json(), flat_list.to_json());
  EXPECT_EQ(o.steps, 7);
  EXPECT_FALSE(o.loss.robust);
  EXPECT_TRUE(list.was_set("loss.robust"));
  EXPECT_FALSE(list.was_set("view"));
}

TEST_F(OptionsTest, JsonOfTheWrongTypeNamesFileAndField) {
  const Error e = error_of([&] { list.apply({{"loss", {{"ssim_weight", true}}}}, "a.json"); });
  EXPECT_EQ(e.where(), "a.json: loss.ssim_weight");
  EXPECT_EQ(error_of([&] { list.apply({{"los", {{"ssim_weight", 0.1}}}}, "a.json"); }).hint(),
            "did you mean loss.ssim_weight?");
  EXPECT_THAT(error_of([&] { list.apply({{"steps", nlohmann::json::array()}}, "a.json"); }).what(),
              HasSubstr("whole"));
  EXPECT_THAT(error_of([&] { list.apply(nlohmann::json::array(), "a.json"); }).what(),
              HasSubstr("object"));
  EXPECT_THAT(error_of([&] { list.apply({{"steps", {{"x", 1}}}}, "a.json"); }).what(),
              HasSubstr("steps.x"));
}

TEST_F(OptionsTest, WrittenJsonReadsBackTheSame) {
  list.set("lambda", "0.25", "--set");
  list.set("strategy", "mcmc", "--set");
  Options copy;
  OptionList copy_list(copy);
  copy_list.apply(list.to_json(), "config.json");
  copy_list.finish();
  EXPECT_EQ(copy_list.to_json(), list.to_json());
}

TEST_F(OptionsTest, OnlyTheChosenGroupIsWritten) {
  EXPECT_TRUE(list.to_json().contains("default"));
  EXPECT_FALSE(list.to_json().contains("mcmc"));
  list.set("strategy", "mcmc", "--strategy");
  EXPECT_FALSE(list.to_json().contains("default"));
  EXPECT_EQ(list.to_json()["mcmc"]["reset_every"], 7);
}

TEST_F(OptionsTest, AFieldOfAGroupNotChosenIsRefusedAtTheEnd) {
  list.set("mcmc.noise", "1", "--noise");  // before its choice is typed: no error yet
  EXPECT_THAT(error_of([&] { list.finish(); }).hint(), HasSubstr("--strategy mcmc"));
  list.set("strategy", "mcmc", "--strategy");
  EXPECT_NO_THROW(list.finish());
  list.set("default.grow", "1", "--grow");
  EXPECT_EQ(error_of([&] { list.finish(); }).where(), "--grow");
}

TEST_F(OptionsTest, AConfigOfOneChoiceMayBeRunWithAnother) {
  list.apply({{"strategy", "default"}, {"default", {{"grow", 1e-3}}}}, "config.json");
  list.set("strategy", "mcmc", "--strategy");
  EXPECT_NO_THROW(list.finish());
  list.apply({{"default", {{"grow", 1e-3}}}}, "late.json");
  EXPECT_THAT(error_of([&] { list.finish(); }).where(), HasSubstr("late.json"));
}

TEST_F(OptionsTest, HelpShowsCommonOptionsOrAll) {
  const std::string common = list.help(false), all = list.help(true);
  EXPECT_THAT(common, HasSubstr("--steps N"));
  EXPECT_THAT(common, HasSubstr("[30000]"));
  EXPECT_THAT(common, HasSubstr("default|mcmc|none"));
  EXPECT_THAT(common, HasSubstr("--antialias [none|mip]"));
  EXPECT_THAT(common, Not(HasSubstr("--ssim-weight")));
  EXPECT_THAT(all, HasSubstr("--ssim-weight"));
  EXPECT_THAT(all, HasSubstr("--no-robust"));
  EXPECT_THAT(all, HasSubstr("mcmc (with --strategy mcmc):"));
  EXPECT_THAT(all, HasSubstr("[3000 steps]"));
  EXPECT_THAT(all, Not(HasSubstr("--name")));
}

TEST_F(OptionsTest, SchemaSaysTypeDefaultBoundsAndChoices) {
  const nlohmann::json s = list.schema();
  EXPECT_EQ(s["properties"]["steps"]["type"], "integer");
  EXPECT_EQ(s["properties"]["steps"]["minimum"], 1);
  EXPECT_EQ(s["properties"]["steps"]["flag"], "--steps");
  EXPECT_EQ(s["properties"]["strategy"]["enum"].size(), 3u);
  EXPECT_EQ(s["properties"]["loss"]["properties"]["ssim_weight"]["default"], 0.2);
  EXPECT_EQ(s["properties"]["loss"]["properties"]["ssim_weight"]["synonyms"][0], "--lambda-dssim");
  EXPECT_EQ(s["properties"]["modes"]["items"]["enum"].size(), 3u);
  EXPECT_EQ(s["properties"]["mcmc"]["properties"]["noise"]["only_when"]["strategy"], "mcmc");
  EXPECT_FALSE(s["properties"]["mcmc"]["additionalProperties"].get<bool>());
}

TEST(NearestWord, CountsInsertionsChangesAndSwaps) {
  const std::vector<std::string> words = {"train", "eval", "render", "info", "study"};
  EXPECT_EQ(nearest_word("trian", words), "train");
  EXPECT_EQ(nearest_word("rendr", words), "render");
  EXPECT_EQ(nearest_word("eval", words), "eval");
  EXPECT_EQ(nearest_word("xylophone", words), "");
  EXPECT_EQ(nearest_word("tr", words), "");
  EXPECT_EQ(nearest_word("anything", {}), "");
}

struct Chain {
  std::vector<std::string> steps;
  void describe(OptionList& o) {
    o.add("operations", &steps, "in order").hidden();
    o.add_step("move", &steps, "moves it").shape("X,Y").synonym("m").common();
    o.add_step("sort", &steps, "sorts it").bare("").common();
  }
};

TEST(Options, StepsKeepTheirOrder) {
  Chain chain;
  OptionList list(chain);
  list.set("move", "1,2", "--move");
  list.set("sort", "", "--sort");
  list.set("move", "3=4", "--move");
  EXPECT_THAT(chain.steps, ElementsAre("move=1,2", "sort", "move=3=4"));
  EXPECT_EQ(list.to_json(), nlohmann::json({{"operations", {"move=1,2", "sort", "move=3=4"}}}));
  EXPECT_TRUE(list.takes_value(*list.find_flag("m"), nullptr));
  EXPECT_FALSE(list.takes_value(*list.find_flag("sort"), nullptr));
  EXPECT_THAT(list.help(false), HasSubstr("--move X,Y"));
  EXPECT_EQ(list.schema()["properties"]["move"]["step"], true);
  Chain again;
  OptionList back(again);
  back.apply(list.to_json(), "config.json");
  EXPECT_EQ(again.steps, chain.steps);
  // An object of JSON has no order.
  EXPECT_THROW(back.apply({{"move", "1,2"}}, "config.json"), Error);
}

}  // namespace
}  // namespace covary
