// What clients together make a server hold: bounded in sum, and those that take what they are given
// do not notice.

#include <gtest/gtest.h>

#include <deque>

#include "rpc/testing/raw_world.h"

namespace quoin::rpc {
namespace {

using namespace raw;  // the test speaks of frames only

constexpr size_t kAnswerBytes = 100'000;
constexpr size_t kUnreadMax = 8 << 20;  // of all; a connection's share is a quarter
constexpr size_t kOpenCallsMax = kUnreadMax / 2560;
constexpr uint32_t kWindow = 0x7fffffff;

ServerOptions Options() {
  ServerOptions options;
  options.unread_bytes_max = kUnreadMax;
  return options;
}

// SETTINGS_INITIAL_WINDOW_SIZE.
std::string WindowSetting(uint32_t bytes) { return std::string("\0\4", 2) + U32(bytes); }

size_t DataBytes(const RawClient& client) {
  size_t bytes = 0;
  for (const Frame& frame : client.Of(kData)) bytes += frame.payload.size();
  return bytes;
}

struct Memory : RawWorld {
  explicit Memory(size_t loops = 1) : RawWorld(Options(), loops) {
    orders() = {true, std::string(kAnswerBytes, 'a')};
  }
  // A client that asks and gives no window for the answers.
  RawClient& NewStalled(uint32_t requests) {
    RawClient& client = stalled.emplace_back(WindowSetting(0));
    Connect(client);
    std::string all;
    for (uint32_t n = 0; n < requests; ++n) all += WholeRequest(2 * n + 1);
    Send(client, all);
    return client;
  }
  size_t Resets() const {
    size_t resets = 0;
    for (const RawClient& client : stalled) {
      for (const Frame& frame : client.Of(kRstStream)) {
        EXPECT_EQ(ErrorCode(frame), kEnhanceYourCalm);
        ++resets;
      }
    }
    return resets;
  }
  std::deque<RawClient> stalled;
};

TEST(Http2Memory, OneConnectionIsAnsweredAsFarAsItsShare) {
  constexpr uint32_t kRequests = 500;
  Memory w;
  RawClient& client = w.NewStalled(kRequests);
  EXPECT_GE(w.seen().messages, kUnreadMax / 4 / kAnswerBytes);
  EXPECT_LE(w.seen().messages, kUnreadMax / 4 / kAnswerBytes + 1);
  EXPECT_EQ(w.Resets(), 0u);
  EXPECT_EQ(w.seen().cancelled, 0u);

  // It was slow, no more: everything is answered once it takes the answers.
  w.Send(client, Encode(kSettings, 0, 0, WindowSetting(1 << 20)) +
                     Encode(kWindowUpdate, 0, 0, U32(kWindow - 65535)));
  w.RunFor(std::chrono::seconds(60));
  EXPECT_EQ(w.seen().messages, kRequests);
  EXPECT_EQ(DataBytes(client), kRequests * (kAnswerBytes + MessagePrefix(0).size()));
}

TEST(Http2Memory, WhoHasTakenNothingForLongestIsReset) {
  constexpr uint32_t kRequests = 10;
  Memory w;
  const size_t clients = 2 * kUnreadMax / (kRequests * kAnswerBytes);
  for (size_t i = 0; i < clients; ++i) w.NewStalled(kRequests);
  // All but the last are served and hold nothing any more.
  const size_t answered = w.seen().messages;
  const size_t held = (answered - w.Resets()) * kAnswerBytes;
  EXPECT_LE(held, kUnreadMax + kAnswerBytes);
  EXPECT_GE(held, kUnreadMax / 2);
  EXPECT_EQ(w.stalled.front().Of(kRstStream).size(), kRequests);
  EXPECT_EQ(w.stalled.back().Of(kRstStream).size(), 0u);
  w.ExpectAnotherIsServed();
}

TEST(Http2Memory, AnotherLoopLetsGoToo) {
  constexpr uint32_t kRequests = 10;
  Memory w(/*loops=*/2);
  const size_t clients = 2 * kUnreadMax / (kRequests * kAnswerBytes);
  for (size_t i = 0; i < clients; ++i) w.NewStalled(kRequests);
  const size_t held = (w.seen().messages - w.Resets()) * kAnswerBytes;
  EXPECT_LE(held, kUnreadMax + 2 * kAnswerBytes);
  // Connections are dealt to the loops in turn: both have let go.
  EXPECT_GT(w.stalled[0].Of(kRstStream).size(), 0u);
  EXPECT_GT(w.stalled[1].Of(kRstStream).size(), 0u);
  w.ExpectAnotherIsServed();
}

// The window is open, the socket is not read: nothing can be told to such a client.
TEST(Http2Memory, ConnectionsThatAreNotReadAreClosed) {
  Memory w;
  std::deque<RawClient> clients;
  for (int i = 0; i < 20; ++i) {
    RawClient& client = clients.emplace_back(WindowSetting(kWindow));
    w.Connect(client);
    w.OnClient([&] { client.connection().PauseReading(); });
    std::string all = Encode(kWindowUpdate, 0, 0, U32(kWindow - 65535));
    for (uint32_t n = 0; n < 20; ++n) all += RawWorld::WholeRequest(2 * n + 1);
    w.Send(client, all);
  }
  w.ExpectAnotherIsServed();
  size_t closed = 0;
  for (RawClient& client : clients) {
    w.OnClient([&] { client.connection().ResumeReading(); });
    closed += client.closed() ? 1 : 0;
  }
  w.RunFor(std::chrono::seconds(5));
  closed = 0;
  for (RawClient& client : clients) closed += client.closed() ? 1 : 0;
  EXPECT_GT(closed, 0u);
  EXPECT_FALSE(clients.back().closed());
}

// What a connection gives up is free at once: nobody else goes for the same bytes.
TEST(Http2Memory, NoMoreConnectionsAreClosedThanHoldTooMuch) {
  constexpr uint32_t kRequests = 9;  // all of their answers are given to the socket
  constexpr size_t kUnsent = kRequests * kAnswerBytes;
  constexpr size_t kClients = 12;
  Memory w;
  std::deque<RawClient> clients;
  for (size_t i = 0; i < kClients; ++i) {
    RawClient& client = clients.emplace_back(WindowSetting(kWindow));
    w.Connect(client);
    w.OnClient([&] { client.connection().PauseReading(); });
    std::string all = Encode(kWindowUpdate, 0, 0, U32(kWindow - 65535));
    for (uint32_t n = 0; n < kRequests; ++n) all += RawWorld::WholeRequest(2 * n + 1);
    w.Send(client, all);
  }
  for (RawClient& client : clients) w.OnClient([&] { client.connection().ResumeReading(); });
  w.RunFor(std::chrono::seconds(5));
  size_t closed = 0;
  for (RawClient& client : clients) closed += client.closed() ? 1 : 0;
  EXPECT_GT(closed, 0u);
  EXPECT_LE(closed, kClients - kUnreadMax / kUnsent + 1);
  EXPECT_FALSE(clients.back().closed());
}

// Requests that wait do not make their own connection wait.
TEST(Http2Memory, ManyBigRequestsOfOneConnectionAreTaken) {
  constexpr uint32_t kRequests = 30;
  constexpr size_t kBytes = 200'000;  // together three times the connection's share
  Memory w;
  w.orders().answer = "short";
  RawClient client;
  w.Connect(client);
  const std::string message = MessagePrefix(kBytes) + std::string(kBytes, 'q');
  std::string first, rest;
  for (uint32_t n = 0; n < kRequests; ++n) {
    const uint32_t stream = 2 * n + 1;
    first += RawWorld::Request(stream);
    size_t at = 0;
    for (; at + 16'000 < message.size(); at += 16'000)
      first += Encode(kData, 0, stream, std::string_view(message).substr(at, 16'000));
    rest += Encode(kData, kEndStream, stream, std::string_view(message).substr(at));
  }
  w.Send(client, Encode(kSettings, kAck, 0, "") + first);  // its windows count from then on
  EXPECT_EQ(w.seen().messages, 0u);
  w.Send(client, rest);
  w.RunFor(std::chrono::seconds(5));
  EXPECT_EQ(w.seen().messages, kRequests);
  EXPECT_EQ(w.Resets(), 0u);
}

// Requests that handlers keep while they wait for others are those of the call, and so is the
// reset.
TEST(Http2Memory, RequestsThatWaitWithinTheirHandlersAreBounded) {
  constexpr size_t kBytes = 1'000'000, kClients = 20;
  Memory w;
  w.orders() = {.answers = false, .waits_with = 500};
  w.NewStalled(1);
  w.orders().waits_with = kBytes;
  for (size_t i = 0; i < kClients; ++i) w.NewStalled(1);
  EXPECT_EQ(w.seen().messages, kClients + 1);
  EXPECT_EQ(w.Resets(), kClients - kUnreadMax / kBytes);
  EXPECT_EQ(w.seen().cancelled, w.Resets());
  EXPECT_EQ(w.stalled[0].Of(kRstStream).size(), 0u) << "small ones are of no use";
  EXPECT_EQ(w.stalled[1].Of(kRstStream).size(), 1u);
  EXPECT_EQ(w.stalled.back().Of(kRstStream).size(), 0u);
  w.ExpectAnotherIsServed();
}

TEST(Http2Memory, RequestsThatWaitCountToTheShareOfTheirConnection) {
  constexpr size_t kBytes = 100'000;
  Memory w;
  w.orders() = {.answers = false, .waits_with = kBytes};
  w.NewStalled(500);
  EXPECT_EQ(w.seen().messages, kUnreadMax / 4 / kBytes + 1);
  EXPECT_EQ(w.Resets(), 0u);
  w.ExpectAnotherIsServed();
}

// What stands for a client is never taken away, but refused: beyond the share of the connection,
// and beyond what all may have.
TEST(Http2Memory, WhatStandsIsBounded) {
  constexpr size_t kBytes = kUnreadMax / 2 / 4 / 5;  // five of them are a connection's share
  Memory w;
  w.orders() = {.answers = false, .stands_with = kBytes};
  w.NewStalled(7);
  EXPECT_EQ(w.seen().messages, 7u);
  EXPECT_EQ(w.seen().refused, 2u);
  for (int i = 0; i < 3; ++i) w.NewStalled(4);
  EXPECT_EQ(w.seen().refused, 2u);
  w.NewStalled(5);
  EXPECT_EQ(w.seen().refused, 4u) << "three are left of all";
  EXPECT_EQ(w.Resets(), 0u);
  // They end with their calls.
  w.Send(w.stalled[0],
         Encode(kRstStream, 0, 1, U32(kCancel)) + Encode(kRstStream, 0, 3, U32(kCancel)));
  w.NewStalled(3);
  EXPECT_EQ(w.seen().refused, 5u);
  w.ExpectAnotherIsServed();
}

// Calls that hold nothing but themselves are not taken away; further ones are not taken on.
TEST(Http2Memory, OpenCallsAreBounded) {
  constexpr uint32_t kCalls = 2 * kOpenCallsMax;
  Memory w;
  RawClient client;
  w.Connect(client);
  std::string all;
  for (uint32_t n = 0; n < kCalls; ++n) all += RawWorld::Request(2 * n + 1, "/s/Stream");
  w.Send(client, all);
  w.RunFor(std::chrono::seconds(20));
  // Accounts tell their budget of every 32 calls.
  EXPECT_LE(w.seen().started, kOpenCallsMax + 64);
  EXPECT_GE(w.seen().started, kOpenCallsMax * 9 / 10);
  EXPECT_EQ(w.seen().cancelled, 0u);
  w.ExpectAnotherIsServed();
}

// Nor is it of use to bring many connections: each may have two calls then.
TEST(Http2Memory, OpenCallsOfManyConnectionsAreBounded) {
  constexpr uint32_t kCalls = 100, kClients = 2 * kOpenCallsMax / kCalls;
  Memory w;
  w.orders().answers = false;
  std::deque<RawClient> clients;
  for (uint32_t i = 0; i < kClients; ++i) {
    w.Connect(clients.emplace_back());
    std::string all;
    for (uint32_t id = 1; id < 2 * kCalls; id += 2)
      all += RawWorld::Request(id, "/s/Stream") + Encode(kData, 0, id, RawWorld::Message());
    w.Send(clients.back(), all);
  }
  EXPECT_LE(w.seen().started, kOpenCallsMax + 64 + 2 * kClients);
  EXPECT_GE(w.seen().started, kOpenCallsMax * 9 / 10);
  w.ExpectAnotherIsServed();
}

}  // namespace
}  // namespace quoin::rpc
