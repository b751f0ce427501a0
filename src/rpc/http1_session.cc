// The server's half of one HTTP/1.1 connection: requests one after another, answers in the same
// order.

#include <algorithm>
#include <boost/beast/http.hpp>

#include "rpc/session.h"

namespace quoin::rpc {
namespace {

namespace http = boost::beast::http;

constexpr size_t kHeaderBytesMax = 64 * 1024;
constexpr size_t kPipelinedBytesMax = 1 << 20;  // bytes of further requests that wait for an answer

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

class Http1Session final : public Session {
 public:
  Http1Session(const ServerContext& context, env::Connection& connection, env::Executor& loop,
               SessionOwner& owner)
      : context_(context), connection_(connection), loop_(loop), owner_(owner) {
    StartRequest();
  }
  ~Http1Session() override { *alive_ = false; }

  bool Feed(std::string_view data) override {
    buffer_.append(data);
    if (answering_) {
      if (buffer_.size() > kPipelinedBytesMax) connection_.PauseReading();
      return true;
    }
    return Parse();
  }
  void OnDrained() override {}
  void OnLost() override { *alive_ = false; }
  bool StartDrain() override {
    draining_ = true;
    if (!answering_) owner_.CloseSession();
    return !answering_;
  }
  size_t calls() const override { return answering_ ? 1 : 0; }

 private:
  void StartRequest() {
    parser_.emplace();
    parser_->eager(true);
    parser_->header_limit(kHeaderBytesMax);
    parser_->body_limit(context_.options.receive_message_bytes_max);
    continue_sent_ = false;
  }

  // Takes what is buffered. False: the connection is to be closed after the answer that was
  // written.
  bool Parse() {
    while (!buffer_.empty() && !answering_) {
      boost::system::error_code error;
      const size_t used =
          parser_->put(boost::asio::const_buffer(buffer_.data(), buffer_.size()), error);
      buffer_.erase(0, used);
      if (error == http::error::need_more) return MaybeContinue();
      if (error) return Refuse(error);
      if (!parser_->is_done()) {
        if (used == 0) return MaybeContinue();
        continue;
      }
      Dispatch();
    }
    return true;
  }

  bool MaybeContinue() {
    if (!continue_sent_ && parser_->is_header_done() &&
        parser_->get()[http::field::expect] == "100-continue") {
      continue_sent_ = true;
      connection_.Write(std::string("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    return true;
  }

  bool Refuse(const boost::system::error_code& error) {
    HttpResponse response;
    response.status = error == http::error::body_limit     ? 413
                      : error == http::error::header_limit ? 431
                                                           : 400;
    response.headers = {{"Content-Type", "text/plain; charset=utf-8"}};
    response.body = std::to_string(response.status) + " " +
                    std::string(http::obsolete_reason(static_cast<http::status>(response.status)));
    Write(std::move(response), /*keep_alive=*/false, /*head=*/false);
    return false;
  }

  void Dispatch() {
    const auto& message = parser_->get();
    HttpRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    for (const auto& field : message)
      request.headers.emplace_back(field.name_string(), field.value());
    request.body = std::move(parser_->get().body());
    request.remote_address = connection_.remote_address();
    const bool keep_alive = message.keep_alive() && !draining_;
    const bool head = message.method() == http::verb::head;
    answering_ = true;
    auto reply = [this, alive = std::weak_ptr<bool>(alive_), keep_alive,
                  head](HttpResponse response) {
      std::shared_ptr<bool> living = alive.lock();
      if (living == nullptr || !*living) return;
      Write(std::move(response), keep_alive, head);
      Answered(keep_alive);
    };
    if (context_.http == nullptr) {
      HttpResponse response;
      response.status = 404;
      return reply(std::move(response));
    }
    context_.http->Handle(std::move(request), loop_, std::move(reply));
  }

  void Answered(bool keep_alive) {
    answering_ = false;
    if (!keep_alive || draining_) return owner_.CloseSession();
    StartRequest();
    connection_.ResumeReading();
    if (buffer_.empty()) return;
    // What was pipelined: in a turn of its own, so that answers do not nest.
    loop_.Post([this, alive = alive_] {
      if (*alive && !answering_ && !Parse()) owner_.CloseSession();
    });
  }

  void Write(HttpResponse response, bool keep_alive, bool head) {
    std::string out =
        "HTTP/1.1 " + std::to_string(response.status) + " " +
        std::string(http::obsolete_reason(static_cast<http::status>(response.status))) + "\r\n";
    for (const auto& [name, value] : response.headers) out += name + ": " + value + "\r\n";
    out += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
    if (!keep_alive) out += "Connection: close\r\n";
    out += "\r\n";
    if (!head) out += response.body;
    connection_.Write(std::move(out));
  }

  const ServerContext& context_;
  env::Connection& connection_;
  env::Executor& loop_;
  SessionOwner& owner_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::string buffer_;
  bool answering_ = false;
  bool draining_ = false;
  bool continue_sent_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::optional<std::string_view> HttpRequest::header(std::string_view name) const {
  for (const auto& [n, value] : headers) {
    if (EqualsIgnoringCase(n, name)) return std::string_view(value);
  }
  return std::nullopt;
}

std::unique_ptr<Session> NewHttp1Session(const ServerContext& context, env::Connection& connection,
                                         env::Executor& loop, SessionOwner& owner) {
  return std::make_unique<Http1Session>(context, connection, loop, owner);
}

}  // namespace quoin::rpc
