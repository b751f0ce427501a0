#include "client/registry.h"

#include <fmt/format.h>

#include "client/requests.h"

namespace quoin::client {
namespace {

std::optional<std::string> ValueOf(const MirroredMap& map, const std::string& key) {
  auto found = map.find(key);
  if (found == map.end()) return std::nullopt;
  return found->second.value;
}

}  // namespace

StatusOr<Registration> Registration::Register(Session& session, std::string_view prefix,
                                              std::string_view service, std::string_view instance,
                                              std::string_view address, Client::Timeout timeout) {
  Registration registration(session, fmt::format("{}/{}/{}", prefix, service, instance));
  pb::TxnRequest txn;
  *txn.add_compare() = CreateRevisionIs(registration.key_, 0);
  *txn.add_success() = PutOp(registration.key_, address, session.lease());
  ASSIGN_OR_RETURN(pb::TxnResponse answer, session.client().Call(kTxn, txn, timeout));
  if (!answer.succeeded()) {
    return absl::AlreadyExistsError(
        fmt::format("{} is registered by another session", registration.key_));
  }
  registration.create_revision_ = answer.header().revision();
  return registration;
}

Status Registration::Update(std::string_view address, Client::Timeout timeout) {
  pb::TxnRequest txn;
  *txn.add_compare() = CreateRevisionIs(key_, create_revision_);
  *txn.add_success() = PutOp(key_, address, session_->lease());
  ASSIGN_OR_RETURN(pb::TxnResponse answer, session_->client().Call(kTxn, txn, timeout));
  if (answer.succeeded()) return OkStatus();
  return absl::FailedPreconditionError(fmt::format("{} is no longer registered by us", key_));
}

Status Registration::Withdraw(Client::Timeout timeout) {
  pb::TxnRequest txn;
  *txn.add_compare() = CreateRevisionIs(key_, create_revision_);
  *txn.add_success() = DeleteOp(key_);
  return session_->client().Call(kTxn, txn, timeout).status();
}

Discovery::Discovery(Client& client, std::string_view prefix, std::string_view service,
                     std::function<void(const Instances&)> on_change)
    : directory_(fmt::format("{}/{}/", prefix, service)),
      on_change_(std::move(on_change)),
      mirror_(client,
              {directory_, PrefixEnd(directory_), [this](const std::vector<MirrorChange>& changes) {
                 if (!on_change_) return;
                 for (const MirrorChange& change : changes) {
                   std::string instance = change.key.substr(directory_.size());
                   if (change.value) {
                     followed_.insert_or_assign(std::move(instance), *change.value);
                   } else {
                     followed_.erase(instance);
                   }
                 }
                 on_change_(followed_);
               }}) {}

Discovery::Instances Discovery::Named(const MirroredMap& map) const {
  Instances instances;
  for (const auto& [key, value] : map)
    instances.emplace(key.substr(directory_.size()), value.value);
  return instances;
}

Discovery::Instances Discovery::Get() const { return Named(mirror_.Get()); }

bool Discovery::WaitFor(Client::Timeout timeout,
                        absl::FunctionRef<bool(const Instances&)> condition) const {
  return mirror_.WaitFor(timeout, [&](const MirroredMap& map) { return condition(Named(map)); });
}

ConfigSubscriber::ConfigSubscriber(Client& client, std::string key,
                                   std::function<void(const std::optional<std::string>&)> on_change)
    : key_(std::move(key)),
      mirror_(client,
              {key_, "", [on_change = std::move(on_change)](const std::vector<MirrorChange>& all) {
                 if (on_change) on_change(all.back().value);
               }}) {}

std::optional<std::string> ConfigSubscriber::Get(Client::Timeout timeout) const {
  std::optional<std::string> value;
  mirror_.WaitFor(timeout, [&](const MirroredMap& map) {
    value = ValueOf(map, key_);
    return true;
  });
  return value;
}

bool ConfigSubscriber::WaitFor(
    Client::Timeout timeout,
    absl::FunctionRef<bool(const std::optional<std::string>&)> condition) const {
  return mirror_.WaitFor(timeout,
                         [&](const MirroredMap& map) { return condition(ValueOf(map, key_)); });
}

}  // namespace quoin::client
