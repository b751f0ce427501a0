// Load as a whole: flags, environment and files as an operator gives them, and what the process
// then says.
#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>

#include "config/auto_compaction.h"
#include "config/flag_table.h"
#include "config/go_values.h"
#include "config/open_files.h"
#include "config/testing/map_files.h"
#include "config/text.h"

namespace quoin::config {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class LoadTest : public testing::Test {
 protected:
  Loaded Run(std::vector<std::string> flags) {
    flags.insert(flags.begin(), "quoin");
    return Load(flags, environment_, files_);
  }
  Loaded RunFile(std::string text) {
    files_.Put("/c.yml", std::move(text));
    return Run({"--config-file=/c.yml"});
  }
  Config Accept(std::vector<std::string> flags) {
    Loaded loaded = Run(std::move(flags));
    EXPECT_FALSE(loaded.exit_code.has_value()) << loaded.err << Error(loaded);
    return loaded.config;
  }
  // What Go prints above the usage.
  std::string Bad(std::vector<std::string> flags) {
    Loaded loaded = Run(std::move(flags));
    EXPECT_EQ(loaded.exit_code, 2);
    EXPECT_THAT(loaded.err, HasSubstr("\nUsage:\n\n"));
    return loaded.err.substr(0, loaded.err.find('\n'));
  }
  // The error of the line with which the process ends with code 1.
  std::string Refused(std::vector<std::string> flags) { return RefusedBy(Run(std::move(flags))); }
  std::string RefusedBy(const Loaded& loaded) {
    EXPECT_EQ(loaded.exit_code, 1);
    EXPECT_EQ(loaded.err, "");
    return Error(loaded);
  }
  static std::string Error(const Loaded& loaded) {
    if (loaded.notices.empty() || loaded.notices.back().fields.empty()) return "";
    const auto* text = std::get_if<std::string>(&loaded.notices.back().fields[0].value);
    return text == nullptr ? "" : *text;
  }
  static std::vector<std::string> Messages(const Loaded& loaded) {
    std::vector<std::string> messages;
    for (const Notice& notice : loaded.notices) messages.push_back(notice.message);
    return messages;
  }

  Environment environment_;
  MapFiles files_;
};

TEST_F(LoadTest, DefaultsAreEtcds) {
  Config config = Accept({});
  EXPECT_EQ(config.name, "default");
  EXPECT_EQ(config.data_dir, "default.etcd");
  EXPECT_EQ(config.initial_cluster, "default=http://localhost:2380");
  EXPECT_EQ(config.quota_backend_bytes, 2147483648);
  EXPECT_EQ(config.backend_batch_interval, std::chrono::milliseconds(100));
  EXPECT_EQ(config.watch_progress_notify_interval, std::chrono::minutes(10));
  EXPECT_EQ(config.compaction_batch_limit, 1000);
  EXPECT_EQ(config.election_ticks(), 10u);
  EXPECT_THAT(UrlTexts(config.listen_client_urls), ElementsAre("http://localhost:2379"));
  EXPECT_FALSE(config.auto_compaction.enabled());
  EXPECT_TRUE(config.pre_vote);
}

// The default that --help shows is the default that holds.
TEST_F(LoadTest, EachDefaultTextMeansTheDefault) {
  for (const FlagGroup& group : FlagGroups()) {
    for (const FlagSpec& flag : group.flags) {
      Draft draft;
      ASSERT_TRUE(SetFlag(flag, flag.default_text, draft).ok()) << flag.name;
      // Zeros that stand for something else are resolved later.
      bool zero = flag.default_text == "0" || flag.default_text == "0s" ||
                  flag.name == "backend-bbolt-freelist-type";
      EXPECT_TRUE(zero || !DiffersFromDefault(flag, draft)) << flag.name;
    }
  }
}

TEST_F(LoadTest, GoFlagSyntax) {
  EXPECT_EQ(Accept({"-name", "a"}).name, "a");
  EXPECT_EQ(Accept({"--name", "a"}).name, "a");
  EXPECT_EQ(Accept({"--name=a"}).name, "a");
  EXPECT_EQ(Accept({"--name=a=b"}).name, "a=b");
  EXPECT_EQ(Accept({"--name", "--x"}).name, "--x");
  EXPECT_EQ(Accept({"--name=a", "--name=b"}).name, "b");
  EXPECT_FALSE(Accept({"--pre-vote=false"}).pre_vote);
  EXPECT_TRUE(Accept({"--socket-reuse-port"}).socket_reuse_port);
  EXPECT_TRUE(Accept({"-socket-reuse-port", "--name=z"}).socket_reuse_port);
  EXPECT_FALSE(Accept({"--pre-vote=F"}).pre_vote);
  EXPECT_EQ(Accept({"--snapshot-count=0x10"}).snapshot_count, 16u);
  EXPECT_EQ(Accept({"--snapshot-count=1_000"}).snapshot_count, 1000u);
  EXPECT_EQ(Accept({"--name=a", "--"}).name, "a");
}

// Compared with the real program.
TEST_F(LoadTest, BadFlagsSayWhatGoSays) {
  EXPECT_EQ(Bad({"--foo"}), "flag provided but not defined: -foo");
  EXPECT_EQ(Bad({"--discovery=x"}), "flag provided but not defined: -discovery");
  EXPECT_EQ(Bad({"---x"}), "bad flag syntax: ---x");
  EXPECT_EQ(Bad({"--=x"}), "bad flag syntax: --=x");
  EXPECT_EQ(Bad({"--name"}), "flag needs an argument: -name");
  EXPECT_EQ(Bad({"--snapshot-count=x"}),
            "invalid value \"x\" for flag -snapshot-count: parse error");
  EXPECT_EQ(Bad({"--snapshot-count=-1"}),
            "invalid value \"-1\" for flag -snapshot-count: parse error");
  EXPECT_EQ(
      Bad({"--heartbeat-interval=99999999999999999999"}),
      "invalid value \"99999999999999999999\" for flag -heartbeat-interval: value out of range");
  EXPECT_EQ(Bad({"--pre-vote=maybe"}),
            "invalid boolean value \"maybe\" for -pre-vote: parse error");
  EXPECT_EQ(Bad({"--pre-vote="}), "invalid boolean value \"\" for -pre-vote: parse error");
  EXPECT_EQ(Bad({"--grpc-keepalive-interval=5"}),
            "invalid value \"5\" for flag -grpc-keepalive-interval: parse error");
  EXPECT_EQ(Bad({"--quota-backend-bytes=0x10z"}),
            "invalid value \"0x10z\" for flag -quota-backend-bytes: parse error");
  EXPECT_EQ(Bad({"--max-concurrent-streams=5000000000"}),
            "invalid value \"5000000000\" for flag -max-concurrent-streams: strconv.ParseUint: "
            "parsing \"5000000000\": "
            "value out of range");
  EXPECT_EQ(Bad({"--initial-cluster-state=foo"}),
            "invalid value \"foo\" for flag -initial-cluster-state: invalid value");
  EXPECT_EQ(Bad({"--v2-deprecation=foo"}),
            "invalid value \"foo\" for flag -v2-deprecation: invalid value \"foo\"");
  EXPECT_EQ(Bad({"--feature-gates=X=true"}),
            "invalid value \"X=true\" for flag -feature-gates: unrecognized feature gate: X");
  EXPECT_EQ(Bad({"--feature-gates=AllAlpha"}),
            "invalid value \"AllAlpha\" for flag -feature-gates: missing bool value for AllAlpha");
  EXPECT_EQ(Bad({"--listen-client-urls=ftp://x"}),
            "invalid value \"ftp://x\" for flag -listen-client-urls: URL scheme must be http, "
            "https, unix, or unixs: ftp://x");
  EXPECT_EQ(Bad({"--listen-client-urls=http://x"}),
            "invalid value \"http://x\" for flag -listen-client-urls: URL address does not have "
            "the form \"host:port\": "
            "http://x");
  EXPECT_EQ(Bad({"--listen-client-urls=http://1.1.1.1:1/abc"}),
            "invalid value \"http://1.1.1.1:1/abc\" for flag -listen-client-urls: URL must not "
            "contain a path: "
            "http://1.1.1.1:1/abc");
  EXPECT_EQ(
      Bad({"--cors=x"}),
      "invalid value \"x\" for flag -cors: URL scheme must be http, https, unix, or unixs: x");
}

TEST_F(LoadTest, ArgumentsThatAreNotFlags) {
  EXPECT_EQ(Refused({"foo"}), "\"foo\" is not a valid flag");
  EXPECT_EQ(Refused({"-"}), "\"-\" is not a valid flag");
  EXPECT_EQ(Refused({"--", "foo"}), "\"foo\" is not a valid flag");
  EXPECT_EQ(Refused({"--name=a", "gateway", "--name=b"}), "\"gateway\" is not a valid flag");
  EXPECT_THAT(Messages(Run({"foo"})), ElementsAre("Running: ", "failed to verify flags"));
}

TEST_F(LoadTest, HelpAndVersion) {
  Loaded help = Run({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("--listen-client-urls 'http://localhost:2379'"));
  EXPECT_THAT(help.err, StartsWith("Usage:\n"));
  for (const FlagGroup& group : FlagGroups()) {
    for (const FlagSpec& flag : group.flags)
      EXPECT_THAT(help.out, HasSubstr(Cat("  --", flag.name, " '")));
  }
  Loaded version = Run({"--version", "--name=x"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_TRUE(std::regex_match(version.out,
                               std::regex("etcd Version: 3\\.7\\.1\nGit SHA: .+\nGo Version: .+\n"
                                          "Go OS/Arch: linux/.+\nquoin Version: [0-9.]+\n")))
      << version.out;
}

TEST_F(LoadTest, IgnoredFlagsTakeAnyValueAndWarn) {
  for (std::string_view name : IgnoredFlags()) {
    for (const std::string& flag : {Cat("--", name), Cat("--", name, "=x")}) {
      Loaded loaded = Run({flag});
      EXPECT_FALSE(loaded.exit_code) << flag;
      EXPECT_THAT(Messages(loaded), Contains("flag is no longer supported - ignoring")) << flag;
    }
  }
  EXPECT_EQ(IgnoredFlags().size(), 15u);
}

TEST_F(LoadTest, ValidationTexts) {
  EXPECT_EQ(Refused({"--heartbeat-interval=0"}), "--heartbeat-interval must be >0 (set to 0ms)");
  EXPECT_EQ(Refused({"--election-timeout=0"}), "--election-timeout must be >0 (set to 0ms)");
  EXPECT_EQ(
      Refused({"--heartbeat-interval=300"}),
      "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[300ms]");
  EXPECT_EQ(Refused({"--heartbeat-interval=18446744073709551615"}),
            "--election-timeout[1000ms] should be at least as 5 times as "
            "--heartbeat-interval[18446744073709551615ms]");
  EXPECT_EQ(Refused({"--election-timeout=60000"}),
            "--election-timeout[60000ms] is too long, and should be set less than 50000ms");
  EXPECT_EQ(
      Refused({"--listen-client-urls=http://exa.com:2379", "--advertise-client-urls=http://a:1"}),
      "expected IP in URL for binding (http://exa.com:2379)");
  EXPECT_EQ(Refused({"--listen-peer-urls=http://1.2.3.256:2380"}),
            "expected IP in URL for binding (http://1.2.3.256:2380)");
  EXPECT_EQ(Refused({"--initial-advertise-peer-urls=http://:2380"}),
            "--initial-advertise-peer-urls \"http://:2380\" must be \"host:port\" (unexpected "
            "empty host (http://:2380))");
  EXPECT_EQ(Refused({"--auto-compaction-mode=x"}), "unknown auto-compaction-mode \"x\"");
  EXPECT_EQ(Refused({"--auto-compaction-mode="}), "undefined auto-compaction-mode");
  EXPECT_EQ(Refused({"--compact-hash-check-time=0s"}),
            "--compact-hash-check-time must be >0 (set to 0s)");
  EXPECT_EQ(Refused({"--initial-cluster=a=http://a:1", "--discovery-srv=x.y"}),
            "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", "
            "\"discovery-endpoints\" or "
            "\"discovery-srv\"");
  EXPECT_EQ(Refused({"--discovery-token=x"}),
            "both --discovery-token and --discovery-endpoints must be set");
  EXPECT_EQ(Refused({"--tls-min-version=TLS1.0"}),
            "unexpected TLS version \"TLS1.0\" (must be one of: TLS1.2, TLS1.3)");
  EXPECT_EQ(Refused({"--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"}),
            "min version (TLS1.3) is greater than max version (TLS1.2)");
  EXPECT_EQ(Refused({"--tls-min-version=TLS1.3", "--cipher-suites=x"}),
            "cipher suites cannot be configured when only TLS1.3 is enabled");
  EXPECT_EQ(Refused({"--feature-gates=LeaseCheckpointPersist=true"}),
            "enabling feature gate LeaseCheckpointPersist requires enabling feature gate "
            "LeaseCheckpoint");
  EXPECT_EQ(Refused({"--logger=capnslog"}), "--logger=capnslog is removed in v3.5");
  EXPECT_EQ(Refused({"--log-outputs=stderr,default"}),
            "multi logoutput for \"default\" is not supported yet");
  EXPECT_EQ(Refused({"--discovery-fallback=proxy"}),
            "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"");
  EXPECT_EQ(Refused({"--io-threads=0"}), "--io-threads must be 1 to 64 (set to 0)");
  EXPECT_EQ(Refused({"--memory-limit=4096"}),
            "--memory-limit must be at least 67108864 (set to 4096)");
  EXPECT_EQ(Refused({"--cache-bytes=4096"}),
            "--cache-bytes must be at least 1048576 (set to 4096)");
  EXPECT_EQ(Refused({"--checkpoint-interval=0s"}), "--checkpoint-interval must be >0 (set to 0s)");
}

TEST_F(LoadTest, ListeningWithoutAdvertising) {
  Loaded loaded = Run({"--listen-client-urls=http://127.0.0.1:1"});
  EXPECT_EQ(loaded.exit_code, 1);
  EXPECT_THAT(Messages(loaded), ElementsAre(StartsWith("Running http and grpc server"),
                                            "Running: ", "failed to verify flags",
                                            "advertise client URLs are not set"));
  EXPECT_EQ(Error(loaded),
            "--advertise-client-urls is required when --listen-client-urls is set explicitly");
}

TEST_F(LoadTest, LogLevelsInAnyCase) {
  for (const char* level : {"WARN", "Warn", "warn"})
    EXPECT_EQ(Run({Cat("--log-level=", level)}).config.logging.level, LogLevel::kWarn) << level;
}

TEST_F(LoadTest, UnknownLogLevelEndsLikeAPanic) {
  Loaded loaded = Run({"--log-level=foo"});
  EXPECT_EQ(loaded.exit_code, 2);
  EXPECT_EQ(loaded.err, "panic: unrecognized level: \"foo\"\n");
}

TEST_F(LoadTest, FailuresThatEtcdFindsLate) {
  auto late = [this](std::vector<std::string> flags) {
    Loaded loaded = Run(std::move(flags));
    EXPECT_EQ(loaded.notices.back().level, LogLevel::kFatal);
    EXPECT_EQ(loaded.notices.back().message, "discovery failed");
    return RefusedBy(loaded);
  };
  EXPECT_EQ(late({"--auto-compaction-retention=-5"}),
            "error parsing CompactionRetention: time: missing unit in duration \"-5\"");
  EXPECT_EQ(late({"--auto-compaction-mode=revision", "--auto-compaction-retention=x"}),
            "error parsing CompactionRetention: time: invalid duration \"x\"");
  EXPECT_EQ(late({"--auth-token=foo"}), "auth: invalid auth options");
  EXPECT_EQ(late({"--auth-token=simple,a"}), "auth: invalid auth options");
  EXPECT_EQ(late({"--auth-token=simple,a=b,a=c"}), "auth: invalid auth options");
}

TEST_F(LoadTest, WhatIsNotBuiltAndMattersIsRefused) {
  EXPECT_THAT(Refused({"--auth-token=jwt,pub-key=x"}), HasSubstr("is not built in quoin"));
  for (const std::string flag :
       {"listen-peer-urls", "listen-client-http-urls", "listen-metrics-urls"}) {
    EXPECT_THAT(Refused({"--" + flag + "=https://127.0.0.1:1", "--cert-file=x"}),
                StartsWith("TLS (--" + flag + "=https://127.0.0.1:1) is not built"));
  }
  EXPECT_THAT(
      Refused({"--listen-client-urls=https://127.0.0.1:1", "--advertise-client-urls=https://a:1"}),
      StartsWith("TLS (--listen-client-urls=https://127.0.0.1:1) is not built"));
  EXPECT_THAT(Refused({"--discovery-token=x", "--discovery-endpoints=http://a:1"}),
              StartsWith("--discovery-token"));
  // The default said aloud is no demand.
  Accept({"--client-cert-auth=false", "--cors=*", "--cert-file=", "--auth-token=simple"});
}

// TLS without an https URL means nothing, and etcd starts.
TEST_F(LoadTest, TlsBesideHttpUrlsIsPassedOver) {
  Loaded loaded = Run({"--cert-file=x", "--key-file=y", "--client-cert-auth", "--peer-cert-file=x",
                       "--peer-key-file=y", "--peer-client-cert-auth", "--trusted-ca-file=z",
                       "--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "--auto-tls",
                       "--peer-auto-tls", "--peer-cert-allowed-cn=x"});
  ASSERT_FALSE(loaded.exit_code);
  const std::string ignored =
      "scheme is http or unix while key and cert files are present; ignoring key and cert files";
  EXPECT_THAT(Messages(loaded), Contains(ignored).Times(2));
  EXPECT_THAT(Messages(loaded),
              Contains("scheme is http or unix while --client-cert-auth is enabled; ignoring "
                       "client cert auth for this URL"));
  EXPECT_THAT(Messages(loaded),
              Contains("scheme is http or unix while --peer-client-cert-auth is enabled; ignoring "
                       "client cert auth for this URL"));
  EXPECT_THAT(Messages(loaded), Contains("flags without effect in this release"));
}

TEST_F(LoadTest, DeprecatedFlagsAreNamedAsEtcdNamesThem) {
  Loaded loaded = Run({"--max-snapshots=5", "--v2-deprecation=gone", "--snapshot-count=7"});
  EXPECT_THAT(Messages(loaded),
              Contains("--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.7."));
  EXPECT_THAT(Messages(loaded),
              Contains("--snapshot-count is deprecated in 3.6 and will be decommissioned in 3.7."));
  EXPECT_THAT(Messages(loaded),
              Contains("--v2-deprecation is deprecated and scheduled for removal in v3.8. The "
                       "default value is enforced, ignoring user input."));
  EXPECT_THAT(Messages(Run({})), testing::Not(Contains(HasSubstr("deprecated"))));
}

TEST_F(LoadTest, OnePortIsEitherForGrpcOrForHttp) {
  Loaded loaded =
      Run({"--listen-client-urls=http://127.0.0.1:1", "--advertise-client-urls=http://127.0.0.1:1",
           "--listen-client-http-urls=http://127.0.0.1:1"});
  EXPECT_EQ(loaded.notices.back().level, LogLevel::kFatal);
  EXPECT_EQ(RefusedBy(loaded),
            "cannot bind both --client-listen-urls and --client-listen-http-urls on the same url "
            "http://127.0.0.1:1");
}

TEST_F(LoadTest, WhatIsNotBuiltAndHarmlessIsNamedInOneLine) {
  Loaded loaded =
      Run({"--enable-pprof", "--feature-gates=PriorityRequest=true,FastLeaseKeepAlive=false",
           "--memory-mlock"});
  ASSERT_FALSE(loaded.exit_code);
  auto line = std::find_if(loaded.notices.begin(), loaded.notices.end(), [](const Notice& n) {
    return n.message == "flags without effect in this release";
  });
  ASSERT_NE(line, loaded.notices.end());
  EXPECT_THAT(std::get<std::vector<std::string>>(line->fields[0].value),
              testing::UnorderedElementsAre("--enable-pprof", "--memory-mlock",
                                            "--feature-gates=PriorityRequest"));
}

TEST_F(LoadTest, EnvironmentFillsWhatTheCommandLineLeft) {
  environment_ = {{"ETCD_NAME", "n"},
                  {"ETCD_INITIAL_CLUSTER", "n=http://h:1"},
                  {"PATH", "/bin"},
                  {"ETCD_PRE_VOTE", ""}};
  Loaded loaded = Run({"--initial-advertise-peer-urls=http://h:1"});
  ASSERT_FALSE(loaded.exit_code);
  EXPECT_EQ(loaded.config.name, "n");
  EXPECT_EQ(loaded.config.initial_cluster, "n=http://h:1");
  EXPECT_THAT(Messages(loaded), Contains("recognized and used environment variable").Times(2));
  EXPECT_THAT(Messages(loaded), Contains("unrecognized environment variable").Times(1));
}

TEST_F(LoadTest, EnvironmentErrors) {
  environment_ = {{"ETCD_NAME", "x"}};
  Loaded loaded = Run({"--name=y"});
  EXPECT_EQ(RefusedBy(loaded), "ETCD_NAME");
  EXPECT_EQ(loaded.notices.back().level, LogLevel::kFatal);
  EXPECT_THAT(loaded.notices.back().message,
              StartsWith("conflicting environment variable is shadowed by"));
  environment_ = {{"ETCD_SNAPSHOT_COUNT", "zz"}};
  EXPECT_EQ(Refused({}), "invalid value \"zz\" for ETCD_SNAPSHOT_COUNT: parse error");
  environment_ = {{"ETCD_FOO", "1"},
                  {"ETCD_VERSION", "3"},
                  {"ETCD_UNSUPPORTED_ARCH", "x"},
                  {"ETCD_VERIFY", "all"}};
  loaded = Run({});
  ASSERT_FALSE(loaded.exit_code);
  EXPECT_TRUE(loaded.config.verify_all);
  EXPECT_EQ(loaded.notices[0].message, "cannot set special environment variable");
  EXPECT_EQ(loaded.notices[1].message, "unrecognized environment variable");
  EXPECT_EQ(std::get<std::string>(loaded.notices[1].fields[0].value), "ETCD_FOO=1");
  EXPECT_THAT(Messages(loaded), Contains("unrecognized environment variable").Times(1));
}

TEST_F(LoadTest, ConfigFileReplacesFlagsAndEnvironment) {
  environment_ = {{"ETCD_SNAPSHOT_COUNT", "7"}};
  files_.Put("/c.yml",
             "name: b\n"
             "listen-client-urls: http://127.0.0.1:1, http://127.0.0.1:2\n"
             "backend-batch-interval: 5000000\n"
             "socket-options:\n  reuse-port: yes\n"
             "log-outputs: [stdout]\n"
             "pre-vote: false\n"
             "auto-compaction-retention: \"1\"\n"
             "feature-gates: LeaseCheckpoint=true\n"
             "unknown-key: {a: b}\n"
             "name: c\n");
  Config config = Accept({"--config-file", "/c.yml", "--name=flag", "--heartbeat-interval=0"});
  EXPECT_EQ(config.name, "c");
  EXPECT_EQ(config.snapshot_count, 10000u);
  EXPECT_EQ(config.heartbeat_interval_ms, 100u);
  EXPECT_THAT(UrlTexts(config.listen_client_urls),
              ElementsAre("http://127.0.0.1:1", "http://127.0.0.1:2"));
  EXPECT_THAT(UrlTexts(config.advertise_client_urls), ElementsAre("http://localhost:2379"));
  EXPECT_EQ(config.backend_batch_interval, std::chrono::milliseconds(5));
  EXPECT_TRUE(config.socket_reuse_port);
  EXPECT_FALSE(config.pre_vote);
  EXPECT_THAT(config.logging.outputs, ElementsAre("stdout"));
  EXPECT_EQ(config.auto_compaction.period, std::chrono::hours(1));
  EXPECT_TRUE(config.feature_gates.lease_checkpoint);
  EXPECT_EQ(config.initial_cluster, "c=http://localhost:2380");
}

TEST_F(LoadTest, ConfigFileNamedByTheEnvironment) {
  files_.Put("/e.json", R"({"name": "j", "election-timeout": 2000})");
  environment_ = {{"ETCD_CONFIG_FILE", "/e.json"}, {"ETCD_NAME", "x"}};
  Config config = Accept({});
  EXPECT_EQ(config.name, "j");
  EXPECT_EQ(config.election_timeout_ms, 2000u);
}

TEST_F(LoadTest, ConfigFileErrors) {
  auto refused = [this](std::string text) { return RefusedBy(RunFile(std::move(text))); };
  auto cannot = [](std::string what, std::string field, std::string type) {
    return Cat("error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ", what,
               " into Go struct field configYAML.", field, " of type ", type);
  };
  EXPECT_EQ(Refused({"--config-file=/missing"}), "open /missing: no such file or directory");
  EXPECT_EQ(refused("heartbeat-interval: \"50\"\n"),
            cannot("string", "Config.heartbeat-interval", "uint"));
  EXPECT_EQ(refused("name: 5\n"), cannot("number", "Config.name", "string"));
  EXPECT_EQ(refused("log-outputs: stderr\n"), cannot("string", "Config.log-outputs", "[]string"));
  EXPECT_EQ(refused("backend-batch-interval: 5s\n"),
            cannot("string", "Config.backend-batch-interval", "time.Duration"));
  EXPECT_EQ(refused("snapshot-count: -1\n"),
            cannot("number -1", "Config.snapshot-count", "uint64"));
  EXPECT_EQ(refused("pre-vote: \"true\"\n"), cannot("string", "Config.pre-vote", "bool"));
  EXPECT_EQ(refused("auto-compaction-retention: 1\n"),
            cannot("number", "Config.auto-compaction-retention", "string"));
  EXPECT_EQ(refused("peer-transport-security: x\n"),
            cannot("string", "configJSON.peer-transport-security", "embed.securityConfig"));
  EXPECT_EQ(refused("initial-cluster-state: x\n"), "unexpected clusterState \"x\"");
  EXPECT_EQ(refused("heartbeat-interval: 0\n"), "--heartbeat-interval must be >0 (set to 0ms)");
  EXPECT_THAT(refused("name: [1\n"), StartsWith("error converting YAML to JSON: yaml: "));
  EXPECT_THAT(refused("listen-client-urls: https://127.0.0.1:2379\n"
                      "advertise-client-urls: https://127.0.0.1:2379\n"),
              StartsWith("TLS (--listen-client-urls=https://127.0.0.1:2379) is not built"));
  Loaded url = RunFile("listen-client-urls: foo\n");
  EXPECT_EQ(url.exit_code, 1);
  EXPECT_EQ(url.err,
            "unexpected error setting up listen-client-urls: URL scheme must be http, https, unix, "
            "or unixs: foo\n");
  EXPECT_THAT(refused(std::string(2 << 20, '#')), HasSubstr("is larger than"));
}

TEST_F(LoadTest, ConfigFileLeavesDefaultsForEmptyValues) {
  for (const char* text :
       {"", "# nothing\n", "name: ~\n", "log-level: \"\"\n", "log-outputs: []\n",
        "initial-cluster-state: \"\"\n", "listen-client-urls: \"\"\n", "discovery-config: {}\n"}) {
    Loaded loaded = RunFile(text);
    EXPECT_FALSE(loaded.exit_code) << text << Error(loaded);
    EXPECT_EQ(loaded.config.name, "default");
    EXPECT_THAT(loaded.config.logging.outputs, ElementsAre("default"));
  }
}

// No bytes make it crash or hang.
TEST_F(LoadTest, ConfigFileOfNoise) {
  const std::string parts[] = {
      "name",        ":",  " ",    "\n", "[", "]", "{",  "}",  "-",  "\"", "'",
      "&a",          "*a", "!",    "%",  "|", ">", "\t", "# ", "0x", "9",  "socket-options",
      "log-outputs", "~",  "\xff", "<<"};
  uint64_t seed = 7;
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = 0; i < 24; ++i) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      text += parts[(seed >> 33) % std::size(parts)];
    }
    Loaded loaded = RunFile(text);
    EXPECT_TRUE(!loaded.exit_code || *loaded.exit_code == 1) << text;
  }
  RunFile(std::string(300000, '['));
  RunFile(std::string(300000, '{'));
}

TEST_F(LoadTest, OneNameIsEnoughForOneMember) {
  EXPECT_EQ(Accept({"--name=abc"}).initial_cluster, "abc=http://localhost:2380");
  EXPECT_EQ(
      Accept({"--name=abc", "--initial-advertise-peer-urls=http://h:2,http://h:1"}).initial_cluster,
      "abc=http://h:1,abc=http://h:2");
  EXPECT_EQ(Accept({"--name=abc"}).data_dir, "abc.etcd");
}

TEST_F(LoadTest, WildcardListenersAdvertiseTheMachinesAddress) {
  files_.Put("/proc/net/route",
             "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
             "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
             "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n");
  files_.Put(
      "/proc/net/fib_trie",
      "Local:\n  +-- 0.0.0.0/0 3 0 5\n           |-- 127.0.0.1\n              /32 host LOCAL\n"
      "           |-- 192.0.2.2\n              /32 host LOCAL\n");
  Config config = Accept({"--name=a", "--listen-peer-urls=http://0.0.0.0:2390"});
  EXPECT_THAT(UrlTexts(config.initial_advertise_peer_urls), ElementsAre("http://192.0.2.2:2390"));
  EXPECT_EQ(config.initial_cluster, "a=http://192.0.2.2:2390");
  EXPECT_THAT(UrlTexts(config.advertise_client_urls), ElementsAre("http://localhost:2379"));
  files_.Put("/proc/net/route", "");
  EXPECT_THAT(Messages(Run({"--listen-peer-urls=http://0.0.0.0:2390"})),
              Contains("failed to detect default host"));
}

TEST_F(LoadTest, ZerosAndNegativesThatMeanSomethingElse) {
  EXPECT_EQ(Accept({"--snapshot-count=0"}).snapshot_count, 10000u);
  EXPECT_EQ(Accept({"--quota-backend-bytes=-1"}).quota_backend_bytes, 0);
  EXPECT_EQ(Accept({"--quota-backend-bytes=5"}).quota_backend_bytes, 5);
  EXPECT_EQ(Accept({"--watch-progress-notify-interval=1ms"}).watch_progress_notify_interval,
            std::chrono::milliseconds(100));
  EXPECT_EQ(Accept({"--raft-read-timeout=1s"}).raft_read_timeout, std::chrono::seconds(5));
  EXPECT_EQ(Accept({"--bcrypt-cost=99"}).bcrypt_cost, 10u);
  EXPECT_EQ(Accept({"--listen-client-urls=", "--advertise-client-urls="}).listen_client_urls.size(),
            1u);
}

// The list of flags is etcd's, name by name.
TEST_F(LoadTest, FlagsAreThoseOfTheContract) {
  const char* shared = std::getenv("QUOIN_SHARED");
  std::string path =
      std::string(shared != nullptr ? shared : QUOIN_SOURCE_DIR "/../shared") + "/parity/flags.md";
  std::ifstream in(path);
  if (!in) GTEST_SKIP() << "no " << path;
  std::string text((std::istreambuf_iterator<char>(in)), {});
  text = text.substr(text.find("## 3.2"),
                     text.find("Flags accepted but ignored") - text.find("## 3.2"));
  std::regex row("\\| `--([a-z0-9-]+)` \\|");
  std::set<std::string> wanted;
  for (std::sregex_iterator it(text.begin(), text.end(), row), end; it != end; ++it)
    wanted.insert((*it)[1]);
  EXPECT_EQ(wanted.size(), 113u);
  std::set<std::string> own = {"cache-bytes", "io-threads", "memory-limit", "checkpoint-interval",
                               "keep-cluster-version"};
  for (const FlagGroup& group : FlagGroups()) {
    for (const FlagSpec& flag : group.flags) {
      std::string name(flag.name);
      EXPECT_EQ(own.erase(name) + wanted.erase(name), 1u) << name;
    }
  }
  EXPECT_THAT(wanted, IsEmpty());
}

TEST(AutoCompaction, HoursDurationsAndRevisions) {
  auto periodic = [](std::string_view text) {
    return ParseAutoCompaction("periodic", text)->period;
  };
  EXPECT_EQ(periodic("0"), Duration(0));
  EXPECT_EQ(periodic("5"), std::chrono::hours(5));
  EXPECT_EQ(periodic("30m"), std::chrono::minutes(30));
  EXPECT_EQ(ParseAutoCompaction("revision", "1000")->revisions, 1000);
  EXPECT_EQ(ParseAutoCompaction("revision", "1000")->period, Duration(0));
  EXPECT_EQ(ParseAutoCompaction("revision", "1us")->revisions, 1000);
  EXPECT_FALSE(ParseAutoCompaction("periodic", "-5m").ok());
  EXPECT_FALSE(ParseAutoCompaction("periodic", "").ok());
  EXPECT_FALSE(ParseAutoCompaction("periodic", "9223372036854775807").ok());
}

TEST(OpenFiles, EachHasAShareAndTheMemberKeepsTheRest) {
  for (uint64_t files : {256, 1024, 4096, 65536, 1 << 20}) {
    for (uint64_t io_threads : {1, 8, 64}) {
      const ConnectionShares shares = ShareOpenFiles(files, io_threads);
      const uint64_t given = shares.clients + shares.peers + shares.probes;
      if (shares.clients == 0) continue;
      EXPECT_GE(files - given, 80 + 2 * io_threads) << files << " files, " << io_threads;
      EXPECT_GE(shares.peers, 48u);
      EXPECT_GE(shares.probes, 16u);
    }
  }
  EXPECT_EQ(ShareOpenFiles(256, 1).clients, 88u);
  EXPECT_EQ(ShareOpenFiles(1024, 1).clients, 808u);
  EXPECT_EQ(ShareOpenFiles(1 << 20, 1).clients, (1u << 20) - 150 - 2 - 1024);
  EXPECT_EQ(ShareOpenFiles(150, 1).clients, 0u);
}

}  // namespace
}  // namespace quoin::config
