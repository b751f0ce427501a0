// The functions behind the commands, by family; the table in commands.cc binds them to names and
// flags.
//
// Each prints its answer and returns the program's exit code. Thread: the main one.
#pragma once

#include "ctl/command.h"

namespace quoin::ctl {

// kv_commands.cc
ExitCode RunGet(Invocation& invocation);
ExitCode RunPut(Invocation& invocation);
ExitCode RunDelete(Invocation& invocation);
ExitCode RunCompaction(Invocation& invocation);

// txn_command.cc
ExitCode RunTxn(Invocation& invocation);

// endpoint_commands.cc
ExitCode RunEndpointHealth(Invocation& invocation);
ExitCode RunEndpointStatus(Invocation& invocation);
ExitCode RunEndpointHashKv(Invocation& invocation);

// maintenance_commands.cc
ExitCode RunDefrag(Invocation& invocation);
ExitCode RunAlarmList(Invocation& invocation);
ExitCode RunAlarmDisarm(Invocation& invocation);
ExitCode RunDowngradeValidate(Invocation& invocation);
ExitCode RunDowngradeEnable(Invocation& invocation);
ExitCode RunDowngradeCancel(Invocation& invocation);

// snapshot_command.cc
ExitCode RunSnapshotSave(Invocation& invocation);

// elsewhere_commands.cc: what is asked of this program and is not in it.
ExitCode RunSnapshotOffline(Invocation& invocation);
ExitCode RunNotBuilt(Invocation& invocation);

// check_commands.cc
ExitCode RunCheckPerf(Invocation& invocation);
ExitCode RunCheckDatascale(Invocation& invocation);

// mirror_command.cc
ExitCode RunMakeMirror(Invocation& invocation);

// member_commands.cc
ExitCode RunMemberList(Invocation& invocation);
ExitCode RunMemberAdd(Invocation& invocation);
ExitCode RunMemberRemove(Invocation& invocation);
ExitCode RunMemberUpdate(Invocation& invocation);
ExitCode RunMemberPromote(Invocation& invocation);
ExitCode RunMoveLeader(Invocation& invocation);

// lease_commands.cc
ExitCode RunLeaseGrant(Invocation& invocation);
ExitCode RunLeaseRevoke(Invocation& invocation);
ExitCode RunLeaseTimeToLive(Invocation& invocation);
ExitCode RunLeaseList(Invocation& invocation);
ExitCode RunLeaseKeepAlive(Invocation& invocation);

// watch_command.cc
ExitCode RunWatch(Invocation& invocation);

// lock_commands.cc
ExitCode RunLock(Invocation& invocation);
ExitCode RunElect(Invocation& invocation);

// version.cc
ExitCode RunVersion(Invocation& invocation);

// What --cluster means: the endpoints as given, or the client URLs of all members. nullopt after
// printing the error.
std::optional<std::vector<std::string>> EndpointsOrCluster(Invocation& invocation);

}  // namespace quoin::ctl
