#include <gtest/gtest.h>

#include "base/errors.h"
#include "client/endpoint.h"
#include "client/error_text.h"

namespace quoin::client {
namespace {

TEST(ParseEndpointTest, TakesEveryForm) {
  struct Case {
    const char* text;
    const char* address;
    const char* host;
    bool tls;
  };
  const Case cases[] = {
      {"127.0.0.1:2379", "127.0.0.1:2379", "127.0.0.1", false},
      {"http://a.example:1", "a.example:1", "a.example", false},
      {"https://a.example:1/path", "a.example:1", "a.example", true},
      {"[::1]:2379", "[::1]:2379", "::1", false},
      {"https://[fe80::1]:2379", "[fe80::1]:2379", "fe80::1", true},
      {"unix:///run/etcd.sock", "unix:/run/etcd.sock", "", false},
      {"unix://relative", "unix:relative", "", false},
      {"unixs:///run/etcd.sock", "unix:/run/etcd.sock", "", true},
      {"unix:/x", "unix:/x", "", false},
  };
  for (const Case& c : cases) {
    const StatusOr<Endpoint> endpoint = ParseEndpoint(c.text);
    ASSERT_TRUE(endpoint.ok()) << c.text;
    EXPECT_EQ(endpoint->text, c.text);
    EXPECT_EQ(endpoint->address, c.address) << c.text;
    EXPECT_EQ(endpoint->host, c.host) << c.text;
    EXPECT_EQ(endpoint->tls, c.tls) << c.text;
  }
}

TEST(ParseEndpointTest, RefusesWhatHasNoPort) {
  for (const char* text :
       {"", "localhost", "http://localhost", "a:", ":1", "unix:", "unix://", "http:///x"}) {
    EXPECT_FALSE(ParseEndpoint(text).ok()) << text;
  }
}

TEST(ErrorTextTest, ShowsEtcdsOwnErrorsBare) {
  EXPECT_EQ(ErrorText(errors::KeyNotProvided()), "etcdserver: key is not provided");
  EXPECT_EQ(ErrorText(errors::NoSpace()), "etcdserver: mvcc: database space exceeded");
  EXPECT_EQ(ErrorText(absl::UnknownError("etcdserver: too many requests")),
            "etcdserver: too many requests");
}

TEST(ErrorTextTest, ShowsTheCodeOfOthers) {
  EXPECT_EQ(ErrorText(absl::UnavailableError("x")), "rpc error: code = Unavailable desc = x");
  EXPECT_EQ(ErrorText(absl::CancelledError("etcdserver: request canceled")), "context canceled");
  EXPECT_EQ(ErrorText(absl::InvalidArgumentError("etcdserver: permission not given")),
            "rpc error: code = InvalidArgument desc = etcdserver: permission not given");
  EXPECT_EQ(ErrorText(absl::DeadlineExceededError("anything")), "context deadline exceeded");
  EXPECT_EQ(RpcErrorText(absl::UnauthenticatedError("y")),
            "rpc error: code = Unauthenticated desc = y");
}

}  // namespace
}  // namespace quoin::client
