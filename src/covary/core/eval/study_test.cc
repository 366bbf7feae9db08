#include "covary/core/eval/study.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <sstream>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"
#include "covary/core/eval/catalogue.h"
#include "covary/core/eval/document.h"

namespace covary::eval {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

BarResult compare(double left, const std::string& op, double right, double upper = 0) {
  BarResult r;
  r.baseline = Quantity{.name = "plain", .value = right, .unit = "s"};
  r.ours = Quantity{.value = left, .unit = "s"};
  r.bound = {
      .text = "ours " + op + " baseline", .left = left, .op = op, .right = right, .upper = upper};
  return r;
}

Bar bar(const std::string& id, const std::string& part,
        std::function<BarResult(StudyContext&)> measure) {
  return {.id = id,
          .part = part,
          .title = "bar " + id + part,
          .metric = "time",
          .unit = "s",
          .smoke = true,
          .desk = true,
          .measure = std::move(measure)};
}

class StudyTest : public ::testing::Test {
 protected:
  StudyTest() {
    set_log_level(LogLevel::kError);
    fs::remove_all(folder_);
    make_folder(folder_);
  }
  ~StudyTest() override { fs::remove_all(folder_); }

  StudyOptions options() const {
    StudyOptions o;
    o.data_root = folder_.string();
    return o;
  }
  json written(const std::string& name) const { return json::parse(read_file(folder_ / name)); }

  const fs::path folder_ = fs::path(::testing::TempDir()) / ("study_" + std::to_string(::getpid()));
};

json bar_of(const json& document, const std::string& name) {
  for (const json& b : document.at("bars")) {
    if (b.at("id").get<std::string>() + b.at("part").get<std::string>() == name) return b;
  }
  return nullptr;
}

std::vector<std::string> statuses(const json& document) {
  std::vector<std::string> all;
  for (const json& b : document.at("bars")) all.push_back(b.at("status"));
  return all;
}

TEST_F(StudyTest, ADocumentIsSoundAndHoldsWhatWasMeasured) {
  Study study{.slug = "toy",
              .title = "a toy",
              .bars = {bar("1", "", [](StudyContext& c) {
                c.table({.name = "t", .columns = {"a", "b"}, .rows = {{1, "x"}}});
                return compare(2, ">=", 1);
              })}};
  study.bars[0].paper = Paper{1.5, "table 1", "all scenes"};
  StudyOptions o = options();
  o.json_file = (folder_ / "d.json").string();
  const json d = run_study(study, o);
  EXPECT_THAT(document_faults(d), IsEmpty());
  EXPECT_EQ(d, written("d.json"));
  EXPECT_EQ(d.at("verdict"), "pass");
  EXPECT_EQ(d.at("passed"), 1);
  const json b = bar_of(d, "1");
  EXPECT_EQ(b.at("paper").at("value"), 1.5);
  EXPECT_EQ(b.at("baseline").at("name"), "plain");
  EXPECT_EQ(b.at("bound"), json({{"text", "ours >= baseline"},
                                 {"left", 2.0},
                                 {"op", ">="},
                                 {"right", 1.0},
                                 {"scale", "smoke"}}));
  EXPECT_EQ(b.at("pass"), true);
  EXPECT_EQ(d.at("tables")[0].at("rows")[0][1], "x");
  for (const char* key : {"cpu", "cores", "threads", "simd", "torch", "compiler", "covary"}) {
    EXPECT_FALSE(d.at("machine").at(key).is_null()) << key;
  }
  EXPECT_GT(d.at("peak_mb").get<double>(), 1);
}

TEST_F(StudyTest, EveryComparisonIsJudged) {
  EXPECT_TRUE(holds({.text = "", .left = 1, .op = "in", .right = 0.5, .upper = 1}));
  EXPECT_FALSE(holds({.text = "", .left = 1.1, .op = "in", .right = 0.5, .upper = 1}));
  EXPECT_FALSE(holds({.text = "", .left = 1, .op = "<", .right = 1}));
  EXPECT_TRUE(holds({.text = "", .left = 1, .op = "<=", .right = 1}));
  EXPECT_FALSE(holds({.text = "", .left = NAN, .op = ">=", .right = 1}));
  EXPECT_THROW(holds({.text = "", .left = 1, .op = "=>", .right = 1}), Error);
}

TEST_F(StudyTest, AFailingBarANotANumberAndAnExceptionFailTheStudy) {
  const Study study{
      .slug = "toy",
      .title = "",
      .bars = {
          bar("1", "", [](StudyContext&) { return compare(1, ">=", 2); }),
          bar("2", "", [](StudyContext&) { return compare(NAN, ">=", 2); }),
          bar("3", "", [](StudyContext&) -> BarResult { throw Error(ExitCode::kFailed, "broke"); }),
          bar("4", "", [](StudyContext&) { return compare(3, ">=", 2); })}};
  const json d = run_study(study, options());
  EXPECT_THAT(document_faults(d), IsEmpty());
  EXPECT_THAT(statuses(d), ElementsAre("ran", "ran", "failed", "ran"));
  EXPECT_TRUE(bar_of(d, "2").at("ours").at("value").is_null());
  EXPECT_EQ(bar_of(d, "3").at("note"), "broke");
  EXPECT_EQ(d.at("failed"), 3);
  EXPECT_EQ(d.at("passed"), 1);
  EXPECT_EQ(d.at("verdict"), "fail");
}

TEST_F(StudyTest, SkippedBarsAreNamedAndDoNotFail) {
  Study study{.slug = "toy",
              .title = "",
              .bars = {bar("1", "",
                           [](StudyContext& c) {
                             c.data("absent-set");
                             return compare(1, ">=", 0);
                           }),
                       bar("2", "",
                           [](StudyContext& c) {
                             c.data("here");
                             return compare(1, ">=", 0);
                           }),
                       bar("3", "", nullptr)}};
  write_file(folder_ / "here", "abc");
  const json d = run_study(study, options());
  EXPECT_THAT(document_faults(d), IsEmpty());
  EXPECT_THAT(bar_of(d, "1").at("note").get<std::string>(), HasSubstr("absent-set"));
  EXPECT_EQ(bar_of(d, "3").at("note"), "not written yet");
  EXPECT_EQ(d.at("skipped"), 2);
  EXPECT_EQ(d.at("verdict"), "pass");
  ASSERT_EQ(d.at("data").size(), 1u);
  EXPECT_EQ(d.at("data")[0].at("sha256"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(StudyTest, NothingThatCouldRunIsAFailure) {
  const Study study{.slug = "toy", .title = "", .bars = {bar("1", "", nullptr)}};
  EXPECT_EQ(run_study(study, options()).at("verdict"), "fail");
}

TEST_F(StudyTest, ResumeMeasuresOnlyWhatIsNotFinished) {
  int first = 0, second = 0;
  bool broken = true;
  const Study study{.slug = "toy",
                    .title = "",
                    .bars = {bar("1", "",
                                 [&](StudyContext&) {
                                   ++first;
                                   return compare(1, ">=", 2);
                                 }),
                             bar("2", "", [&](StudyContext&) -> BarResult {
                               ++second;
                               if (broken) throw Error(ExitCode::kFailed, "broke");
                               return compare(2, ">=", 1);
                             })}};
  StudyOptions o = options();
  o.json_file = (folder_ / "d.json").string();
  run_study(study, o);
  broken = false;
  o.resume = true;
  const json d = run_study(study, o);
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 2);
  EXPECT_THAT(statuses(d), ElementsAre("ran", "ran"));
  EXPECT_EQ(d.at("failed"), 1);
  EXPECT_THAT(document_faults(d), IsEmpty());
}

TEST_F(StudyTest, AnInterruptedRunLeavesItsFinishedBars) {
  int first = 0;
  const Study study{
      .slug = "toy",
      .title = "",
      .bars = {bar("1", "",
                   [&](StudyContext&) {
                     ++first;
                     return compare(1, ">=", 0);
                   }),
               bar("2", "", [](StudyContext&) -> BarResult { throw Interrupted{130}; })}};
  StudyOptions o = options();
  o.json_file = (folder_ / "d.json").string();
  EXPECT_THROW(run_study(study, o), Interrupted);
  const json d = written("d.json");
  EXPECT_THAT(document_faults(d), IsEmpty());
  EXPECT_THAT(statuses(d), ElementsAre("ran", "skipped"));
  EXPECT_EQ(bar_of(d, "2").at("note"), "not reached yet");
  o.resume = true;
  EXPECT_THROW(run_study(study, o), Interrupted);
  EXPECT_EQ(first, 1);
}

TEST_F(StudyTest, ResumeRefusesAnotherStudysDocument) {
  Study study{.slug = "toy",
              .title = "",
              .bars = {bar("1", "", [](StudyContext&) { return compare(1, ">=", 0); })}};
  StudyOptions o = options();
  o.json_file = (folder_ / "d.json").string();
  run_study(study, o);
  o.resume = true;
  o.scale = "desk";
  EXPECT_THROW(run_study(study, o), Error);
}

TEST_F(StudyTest, BarsAreChosenByNumberPartAndRange) {
  std::string ran;
  const auto mark = [&](const std::string& name) {
    return [&ran, name](StudyContext&) {
      ran += name + " ";
      return compare(1, ">=", 0);
    };
  };
  Study study{
      .slug = "toy",
      .title = "",
      .bars = {bar("1", "", mark("1")), bar("2", "a", mark("2a")), bar("2", "b", mark("2b")),
               bar("3", "", mark("3")), bar("F", "", mark("F"))}};
  study.bars[4].takes_long = true;
  StudyOptions o = options();
  o.scale = "desk";
  const auto run = [&](std::vector<std::string> bars) {
    ran.clear();
    o.bars = std::move(bars);
    run_study(study, o);
    return ran;
  };
  EXPECT_EQ(run({}), "1 2a 2b 3 ");
  EXPECT_EQ(run({"2b", "F"}), "2b F ");
  EXPECT_EQ(run({"2:3"}), "2a 2b 3 ");
  EXPECT_THROW(run({"7"}), Error);
  o.long_bars = true;
  EXPECT_EQ(run({}), "1 2a 2b 3 F ");
}

TEST_F(StudyTest, BarsOfOtherScalesAndGpuBarsAreSkipped) {
  Study study{.slug = "toy",
              .title = "",
              .bars = {bar("1", "", [](StudyContext&) { return compare(1, ">=", 0); }),
                       bar("2", "", [](StudyContext&) { return compare(1, ">=", 0); })}};
  study.bars[0].smoke = false;
  study.bars[1].gpu = true;
  const json d = run_study(study, options());
  EXPECT_EQ(bar_of(d, "1").at("note"), "runs at scale desk");
  EXPECT_EQ(bar_of(d, "2").at("note"), "no GPU");
}

TEST_F(StudyTest, SharedMeasurementsAreMadeOnceARun) {
  int made = 0;
  const auto half = [&](StudyContext& c) {
    const double v = c.shared<double>("run", [&] {
      ++made;
      return 3.0;
    });
    return compare(v, ">=", 2);
  };
  const Study study{.slug = "toy", .title = "", .bars = {bar("1", "a", half), bar("1", "b", half)}};
  EXPECT_EQ(run_study(study, options()).at("passed"), 2);
  EXPECT_EQ(made, 1);
}

TEST_F(StudyTest, RepeatsShareTheirSeedsAndReportTheRange) {
  std::vector<uint64_t> seen;
  const Study study{
      .slug = "toy",
      .title = "",
      .bars = {bar("1", "", [&](StudyContext& c) {
        const auto f = [&](uint64_t seed) {
          seen.push_back(seed);
          return static_cast<double>(seed % 10);
        };
        BarResult r;
        r.baseline = c.repeated("s", f);
        r.ours = c.repeated("s", f);
        r.bound = {.text = "", .left = r.ours->value, .op = "==", .right = r.baseline->value};
        return r;
      })}};
  StudyOptions o = options();
  o.repeats = 3;
  o.seed = 41;
  const json ours = bar_of(run_study(study, o), "1").at("ours");
  EXPECT_THAT(seen, ElementsAre(41u, 42u, 43u, 41u, 42u, 43u));
  EXPECT_NEAR(ours.at("value").get<double>(), 2.0, 1e-12);
  EXPECT_EQ(ours.at("n"), 3);
  EXPECT_EQ(ours.at("low"), 1.0);
  EXPECT_EQ(ours.at("high"), 3.0);
}

TEST_F(StudyTest, OutputFolderKeepsDocumentReportAndWhatBarsWrite) {
  const Study study{.slug = "toy", .title = "<toy>", .bars = {bar("1", "", [](StudyContext& c) {
                                                       write_file(c.folder("models") / "m.txt",
                                                                  "m");
                                                       return compare(1, ">=", 0);
                                                     })}};
  StudyOptions o = options();
  o.output = (folder_ / "out").string();
  run_study(study, o);
  EXPECT_TRUE(fs::exists(folder_ / "out" / "models" / "m.txt"));
  EXPECT_THAT(document_faults(written("out/study.json")), IsEmpty());
  EXPECT_THAT(read_file(folder_ / "out" / "report.html"), HasSubstr("&lt;toy&gt;"));
  EXPECT_THROW(run_study(study, o), Error) << "a non-empty folder needs --resume or --overwrite";
  o.overwrite = true;
  EXPECT_NO_THROW(run_study(study, o));
}

TEST_F(StudyTest, TemporaryFoldersGoAway) {
  fs::path kept;
  const Study study{.slug = "toy", .title = "", .bars = {bar("1", "", [&](StudyContext& c) {
                                                  kept = c.folder("models");
                                                  return compare(fs::exists(kept) ? 1 : 0, ">=", 1);
                                                })}};
  EXPECT_EQ(run_study(study, options()).at("verdict"), "pass");
  EXPECT_FALSE(fs::exists(kept));
}

TEST_F(StudyTest, FaultsOfADocumentAreFound) {
  const Study study{.slug = "toy",
                    .title = "",
                    .bars = {bar("1", "", [](StudyContext&) { return compare(1, ">=", 0); })}};
  const json sound = run_study(study, options());
  ASSERT_THAT(document_faults(sound), IsEmpty());
  const auto with = [&](const std::function<void(json&)>& change) {
    json d = sound;
    change(d);
    return document_faults(d).size();
  };
  EXPECT_EQ(with([](json& d) { d["bars"][0]["pass"] = false; }),
            4u);  // the comparison, two counts, the verdict
  EXPECT_EQ(with([](json& d) { d["bars"][0]["bound"]["left"] = -1.0; }), 1u);
  EXPECT_EQ(with([](json& d) { d["bars"][0]["bound"]["op"] = "~"; }), 1u);
  EXPECT_EQ(with([](json& d) { d["passed"] = 2; }), 1u);
  EXPECT_EQ(with([](json& d) { d["verdict"] = "fail"; }), 1u);
  EXPECT_EQ(with([](json& d) { d.erase("machine"); }), 1u);
  EXPECT_EQ(with([](json& d) { d["bars"][0].erase("note"); }), 1u);
  EXPECT_EQ(with([](json& d) { d["bars"][0] = 3; }), 1u);
  EXPECT_EQ(with([](json& d) { d["schema"] = "covary-study/2"; }), 1u);
  EXPECT_EQ(document_faults(json::array()).size(), 1u);
}

TEST_F(StudyTest, UnknownAndPlannedSlugsAreUsageErrors) {
  std::ostringstream out;
  StudyOptions o = options();
  o.slug = "core-3dsg";
  try {
    study_main(o, out);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage);
    EXPECT_THAT(e.hint(), HasSubstr("core-3dgs"));
  }
  o.slug = "ges";
  try {
    study_main(o, out);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.message(), HasSubstr("planned"));
  }
}

TEST_F(StudyTest, TheVerbReturnsTheVerdictAndListsPublishedOnes) {
  static bool good = true;
  static const bool registered = register_study(
      {.slug = "toy-registered",
       .title = "a toy",
       .bars = {bar("1", "", [](StudyContext&) { return compare(good ? 1 : -1, ">=", 0); }),
                bar("2", "", nullptr)}});
  ASSERT_TRUE(registered);
  EXPECT_THROW(register_study({.slug = "toy-registered", .title = "", .bars = {}}), Error);
  std::ostringstream out;
  StudyOptions o = options();
  o.slug = "toy-registered";
  o.scale = "desk";
  make_folder(folder_ / "results");
  o.json_file = (folder_ / "results" / "toy-registered.json").string();
  EXPECT_EQ(study_main(o, out), 0);
  EXPECT_THAT(out.str(), HasSubstr("verdict: pass"));
  good = false;
  o.json_file = "";
  EXPECT_EQ(study_main(o, out), 4);
  good = true;

  StudyOptions list = options();
  list.list = true;
  list.results = (folder_ / "results").string();
  list.json_stdout = true;
  std::ostringstream rows_text;
  EXPECT_EQ(study_main(list, rows_text), 0);
  const json rows = json::parse(rows_text.str());
  EXPECT_EQ(rows.size(), 62u);  // 57 systems, 4 cores, the toy
  EXPECT_EQ(rows.back().at("state"), "partial 1/2");
  EXPECT_EQ(rows.back().at("verdict"), "pass");
  EXPECT_EQ(rows[0].at("state"), "planned");

  StudyOptions table = options();
  table.table = true;
  table.results = list.results;
  std::ostringstream markdown;
  EXPECT_EQ(study_main(table, markdown), 0);
  EXPECT_THAT(markdown.str(), HasSubstr("| `toy-registered` | a toy | pass | 1 | 0 | 1 |"));

  StudyOptions check = options();
  check.check = (folder_ / "results" / "toy-registered.json").string();
  EXPECT_EQ(study_main(check, out), 0);
}

TEST(Catalogue, HoldsFiftySevenSystemsAndFourCores) {
  int systems = 0, cores = 0;
  std::string before;
  for (const auto& e : catalogue()) {
    (e.core ? cores : systems) += 1;
    if (!e.core) {
      EXPECT_LT(before, std::string(e.slug));
      before = e.slug;
    }
  }
  EXPECT_EQ(systems, 57);
  EXPECT_EQ(cores, 4);
}

TEST(StudyOptionsTest, ContradictionsAreNamed) {
  StudyOptions o;
  EXPECT_THROW(o.validate(), Error);
  o.slug = "x";
  EXPECT_NO_THROW(o.validate());
  o.list = true;
  EXPECT_THROW(o.validate(), Error);
  o.list = false;
  o.resume = true;
  EXPECT_THROW(o.validate(), Error);
  o.json_file = "d.json";
  EXPECT_NO_THROW(o.validate());
  OptionList list(o);
  EXPECT_THROW(list.set("scale", std::string("huge"), "--scale"), Error);
}

}  // namespace
}  // namespace covary::eval
