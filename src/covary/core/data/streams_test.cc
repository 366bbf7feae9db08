#include "covary/core/data/streams.h"

#include <zlib.h>

#include <functional>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"

namespace covary::data {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes mixed(size_t n) {
  Bytes b(n);
  const Random random(7, 1);
  for (size_t i = 0; i < n; ++i)
    b[i] = static_cast<uint8_t>(i % 100 < 60 ? i / 1000 : random.below(256, i));
  return b;
}

ExitCode code_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.code();
  }
  return ExitCode::kDone;
}

TEST(Gzip, ComesBackAndTheSystemReadsIt) {
  for (const size_t n :
       {size_t{0}, size_t{1}, size_t{1000}, size_t{3} << 20, (size_t{5} << 20) + 7}) {
    const Bytes want = mixed(n), packed = gzip(want);
    EXPECT_TRUE(is_gzip(packed));
    EXPECT_EQ(gunzip(packed, n + 100, "a"), want) << n;
    // One member, which zlib itself checks against its sum and length.
    Bytes out(n + 1);
    z_stream z{};
    ASSERT_EQ(inflateInit2(&z, 16 + MAX_WBITS), Z_OK);
    z.next_in = const_cast<Bytef*>(packed.data());
    z.avail_in = static_cast<uInt>(packed.size());
    z.next_out = out.data();
    z.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(inflate(&z, Z_FINISH), Z_STREAM_END) << n;
    EXPECT_EQ(z.total_out, n);
    EXPECT_EQ(z.avail_in, 0u);
    inflateEnd(&z);
  }
}

TEST(Gzip, TheFirstBytesAreToBeHadAlone) {
  const Bytes want = mixed(1 << 20);
  EXPECT_EQ(gunzip(gzip(want), 16, "a"), Bytes(want.begin(), want.begin() + 16));
}

TEST(Gzip, MembersFollowOneAnother) {
  Bytes two = gzip(mixed(5000));
  const Bytes second = gzip(Bytes(3, 9));
  two.insert(two.end(), second.begin(), second.end());
  Bytes want = mixed(5000);
  want.insert(want.end(), 3, 9);
  EXPECT_EQ(gunzip(two, 1 << 20, "a"), want);
}

TEST(Gzip, TheSameBytesAtAnyNumberOfThreads) {
  const Bytes bytes = mixed(3 << 20);
  set_threads(1);
  const Bytes one = gzip(bytes);
  set_threads(3);
  EXPECT_EQ(gzip(bytes), one);
  set_threads(0);
}

TEST(Gzip, DamageIsAnErrorThatNamesTheFile) {
  Bytes cut = gzip(mixed(100000));
  cut.resize(cut.size() / 2);
  try {
    gunzip(cut, 100000, "cut.spz");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kData);
    EXPECT_EQ(e.where(), "cut.spz");
  }
  Bytes flipped = gzip(mixed(100000));
  flipped[flipped.size() / 2] ^= 0x55;
  EXPECT_EQ(code_of([&] { gunzip(flipped, 200000, "a"); }), ExitCode::kData);
  EXPECT_EQ(code_of([&] { gunzip(Bytes{0x1f, 0x8b}, 10, "a"); }), ExitCode::kData);
}

TEST(Zstd, ComesBackAndOtherSizesAreErrors) {
  for (const size_t n : {size_t{0}, size_t{1}, size_t{1} << 20}) {
    const Bytes want = mixed(n), packed = zstd_pack(want, 3);
    EXPECT_EQ(zstd_unpack(packed, n, "a"), want);
    EXPECT_EQ(code_of([&] { zstd_unpack(packed, n + 1, "a"); }), ExitCode::kData);
    if (n > 0) {
      EXPECT_EQ(code_of([&] { zstd_unpack(packed, n - 1, "a"); }), ExitCode::kData);
    }
  }
  EXPECT_EQ(code_of([] { zstd_unpack(Bytes(40, 3), 10, "a"); }), ExitCode::kData);
}

TEST(Zstd, PartsMakeTheFrameOfTheWhole) {
  for (const size_t n : {size_t{0}, size_t{1}, size_t{3} << 20}) {
    const Bytes want = mixed(n);
    for (const int level : {1, 6, 12}) {
      Bytes packed;
      ZstdStream stream(
          [&](std::span<const uint8_t> p) { packed.insert(packed.end(), p.begin(), p.end()); }, n,
          level);
      for (size_t at = 0; at < n; at += 300001)
        stream.write(std::span(want).subspan(at, std::min<size_t>(300001, n - at)));
      stream.finish();
      EXPECT_EQ(zstd_unpack(packed, n, "a"), want);
      const size_t whole = zstd_pack(want, level).size();
      EXPECT_LE(packed.size(), whole + whole / 100 + 8);
    }
  }
}

TEST(Zstd, OtherSizesThanToldAreErrors) {
  for (const size_t told : {size_t{999}, size_t{1001}}) {
    ZstdStream stream([](std::span<const uint8_t>) {}, told);
    EXPECT_EQ(code_of([&] {
                stream.write(mixed(1000));
                stream.finish();
              }),
              ExitCode::kFailed);
  }
}

}  // namespace
}  // namespace covary::data
