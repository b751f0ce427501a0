#include "config/go_values.h"

#include <gtest/gtest.h>

#include "base/prng.h"
#include "config/feature_gates.h"
#include "config/initial_cluster.h"
#include "config/url.h"

namespace quoin::config {
namespace {

using env::Duration;

std::string Error(const Status& status) { return std::string(status.message()); }

TEST(Duration, Parse) {
  auto parse = [](std::string_view text) { return *ParseDuration(text); };
  EXPECT_EQ(parse("0"), Duration(0));
  EXPECT_EQ(parse("-0"), Duration(0));
  EXPECT_EQ(parse("5s"), std::chrono::seconds(5));
  EXPECT_EQ(parse("+1h30m"), std::chrono::minutes(90));
  EXPECT_EQ(parse("-1.5s"), std::chrono::milliseconds(-1500));
  EXPECT_EQ(parse(".5ms"), std::chrono::microseconds(500));
  EXPECT_EQ(parse("1.s"), std::chrono::seconds(1));
  EXPECT_EQ(parse("3us"), parse("3µs"));
  EXPECT_EQ(parse("1ns"), Duration(1));
  EXPECT_EQ(parse("9223372036854775807ns").count(), INT64_MAX);
  EXPECT_EQ(parse("-9223372036854775808ns").count(), INT64_MIN);
  EXPECT_EQ(parse("0.100000000000000000000h"), std::chrono::minutes(6));
}

TEST(Duration, ParseErrors) {
  auto error = [](std::string_view text) { return Error(ParseDuration(text).status()); };
  EXPECT_EQ(error(""), "time: invalid duration \"\"");
  EXPECT_EQ(error("x"), "time: invalid duration \"x\"");
  EXPECT_EQ(error("-"), "time: invalid duration \"-\"");
  EXPECT_EQ(error("."), "time: invalid duration \".\"");
  EXPECT_EQ(error(".s"), "time: invalid duration \".s\"");
  EXPECT_EQ(error("5"), "time: missing unit in duration \"5\"");
  EXPECT_EQ(error("1h5"), "time: missing unit in duration \"1h5\"");
  EXPECT_EQ(error("5q"), "time: unknown unit \"q\" in duration \"5q\"");
  EXPECT_EQ(error("5 s"), "time: unknown unit \" s\" in duration \"5 s\"");
  EXPECT_EQ(error("9223372036854775808ns"), "time: invalid duration \"9223372036854775808ns\"");
  EXPECT_EQ(error("3000000h"), "time: invalid duration \"3000000h\"");
  EXPECT_EQ(error("99999999999999999999s"), "time: invalid duration \"99999999999999999999s\"");
}

TEST(Duration, Format) {
  EXPECT_EQ(FormatDuration(Duration(0)), "0s");
  EXPECT_EQ(FormatDuration(Duration(1)), "1ns");
  EXPECT_EQ(FormatDuration(Duration(1500)), "1.5µs");
  EXPECT_EQ(FormatDuration(std::chrono::milliseconds(100)), "100ms");
  EXPECT_EQ(FormatDuration(std::chrono::milliseconds(2500)), "2.5s");
  EXPECT_EQ(FormatDuration(std::chrono::hours(2)), "2h0m0s");
  EXPECT_EQ(FormatDuration(std::chrono::minutes(-5)), "-5m0s");
  EXPECT_EQ(FormatDuration(Duration(INT64_MIN)), "-2562047h47m16.854775808s");
}

TEST(Duration, FormatAndParseAgree) {
  uint64_t seed = 99;
  SCOPED_TRACE(seed);
  Prng random(seed);
  for (int i = 0; i < 5000; ++i) {
    Duration value(static_cast<int64_t>(random.Next() >> random.Below(64)) *
                   (random.Chance(0.5) ? 1 : -1));
    // Go's own parser rounds fractions of large values; below 2^53 it is exact.
    if (value.count() >= (int64_t{1} << 53) || value.count() <= -(int64_t{1} << 53)) continue;
    StatusOr<Duration> back = ParseDuration(FormatDuration(value));
    ASSERT_TRUE(back.ok()) << FormatDuration(value);
    EXPECT_EQ(*back, value);
  }
}

TEST(Numbers, GoBaseZero) {
  EXPECT_EQ(ParseInt("-0x1F").value, -31);
  EXPECT_EQ(ParseInt("+7").value, 7);
  EXPECT_EQ(ParseUint("0b101").value, 5u);
  EXPECT_EQ(ParseUint("0o17").value, 15u);
  EXPECT_EQ(ParseUint("017").value, 15u);
  EXPECT_EQ(ParseUint("0").value, 0u);
  EXPECT_EQ(ParseUint("0x_1").value, 1u);
  EXPECT_EQ(ParseUint("18446744073709551615").value, UINT64_MAX);
  EXPECT_EQ(ParseInt("-9223372036854775808").value, INT64_MIN);
  for (const char* bad : {"", "-", "1__0", "_1", "1_", "0x", "09", "1.0", " 1", "a"}) {
    EXPECT_EQ(ParseUint(bad).error, NumberError::kSyntax) << bad;
  }
  EXPECT_EQ(ParseUint("+1").error, NumberError::kSyntax);
  EXPECT_EQ(ParseUint("18446744073709551616").error, NumberError::kRange);
  EXPECT_EQ(ParseUint("256", 8).error, NumberError::kRange);
  EXPECT_EQ(ParseInt("9223372036854775808").error, NumberError::kRange);
}

TEST(Quote, Escapes) {
  EXPECT_EQ(Quote("a\"b\\\n\x01µ"), "\"a\\\"b\\\\\\n\\x01µ\"");
  EXPECT_EQ(Quote(""), "\"\"");
}

TEST(Url, Parts) {
  Url url = *ParseUrl("HTTP://[::1]:2379");
  EXPECT_EQ(url.text(), "http://[::1]:2379");
  EXPECT_EQ(url.hostname(), "::1");
  EXPECT_EQ(url.port(), "2379");
  EXPECT_EQ(url.address(), "[::1]:2379");
  EXPECT_EQ(ParseUrl("unix:///run/q.sock")->address(), "unix:/run/q.sock");
  EXPECT_EQ(ParseUrl("unix:///run/q.sock")->text(), "unix:///run/q.sock");
  EXPECT_EQ(ParseUrl("unix://localhost:7")->address(), "unix:localhost:7");
  EXPECT_TRUE(ParseUrl("https://a:1")->is_tls());
}

TEST(Url, Errors) {
  auto error = [](std::string_view text) { return Error(ParseUrl(text).status()); };
  EXPECT_EQ(error(""), "URL scheme must be http, https, unix, or unixs: ");
  EXPECT_EQ(error("foo"), "URL scheme must be http, https, unix, or unixs: foo");
  EXPECT_EQ(error("localhost:2379"),
            "URL scheme must be http, https, unix, or unixs: localhost:2379");
  EXPECT_EQ(error("127.0.0.1:2379"),
            "parse \"127.0.0.1:2379\": first path segment in URL cannot contain colon");
  EXPECT_EQ(error("http://a:b"), "parse \"http://a:b\": invalid port \":b\" after host");
  EXPECT_EQ(error("http://::1:2"),
            "URL address does not have the form \"host:port\": http://::1:2");
  EXPECT_EQ(error("http://a:1?x"), "URL must not contain a path: http://a:1?x");
  EXPECT_EQ(error("http:"), "URL address does not have the form \"host:port\": http:");
  EXPECT_FALSE(ParseUrl("http://u:p@a:1").ok());
  EXPECT_FALSE(ParseUrl("http://a\n:1").ok());
}

TEST(Url, ListsAreSortedAndUnique) {
  auto urls = ParseUrls(" http://b:1,http://a:2 ,http://b:1,http://a:10");
  EXPECT_EQ(UrlTexts(*urls), (std::vector<std::string>{"http://a:10", "http://a:2", "http://b:1"}));
  EXPECT_FALSE(ParseUrls("http://b:1,").ok());
}

TEST(FeatureGates, AllOfAStage) {
  FeatureGates gates;
  ASSERT_TRUE(
      ParseFeatureGates("AllAlpha=true,PriorityRequest=false,AllBeta=0,FastLeaseKeepAlive=T", gates)
          .ok());
  EXPECT_TRUE(gates.lease_checkpoint);
  EXPECT_TRUE(gates.compact_hash_check);
  EXPECT_FALSE(gates.priority_request);
  EXPECT_FALSE(gates.txn_mode_write_with_shared_buffer);
  EXPECT_TRUE(gates.fast_lease_keep_alive);
  EXPECT_EQ(
      Error(ParseFeatureGates("LeaseCheckpoint=x", gates)),
      "invalid value of LeaseCheckpoint=x, err: strconv.ParseBool: parsing \"x\": invalid syntax");
  EXPECT_TRUE(ParseFeatureGates(" LeaseCheckpoint = false ,", gates).ok());
}

TEST(InitialCluster, Texts) {
  Config config;
  config.name = "default";
  auto check = [&](std::string_view text) {
    auto cluster = ParseInitialCluster(text);
    return cluster.ok() ? Error(CheckBootstrap(config, *cluster)) : Error(cluster.status());
  };
  EXPECT_EQ(check("default=http://localhost:2380"), "");
  EXPECT_EQ(check("default=http://localhost:2380,b=http://b:1,b=http://b:2"), "");
  EXPECT_EQ(check("a=http://1.1.1.1:1"),
            "couldn't find local name \"default\" in the initial cluster configuration");
  EXPECT_EQ(check(""), "couldn't find local name \"default\" in the initial cluster configuration");
  EXPECT_EQ(check("default=http://1.1.1.1:1"),
            "--initial-cluster has default=http://1.1.1.1:1 but missing from "
            "--initial-advertise-peer-urls=http://localhost:2380 (resolved urls: "
            "\"http://localhost:2380\" != "
            "\"http://1.1.1.1:1\")");
  EXPECT_EQ(check("default"),
            "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: ");
  EXPECT_EQ(
      check("default=foo"),
      "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: foo");
  EXPECT_EQ(
      check("default=http://localhost:2380,b=http://localhost:2380"),
      "initial cluster b=http://localhost:2380,default=http://localhost:2380 has duplicate url");
  config.initial_advertise_peer_urls = *ParseUrls("http://a:1,http://b:1");
  EXPECT_EQ(check("default=http://a:1"),
            "--initial-advertise-peer-urls has http://b:1 but missing from "
            "--initial-cluster=default=http://a:1,default=http://b:1");
}

}  // namespace
}  // namespace quoin::config
