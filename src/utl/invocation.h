// What a running command of quoinutl is given beside its flags: files, a log, a lock.
//
// Thread: the main one.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "cli/command.h"
#include "env/blocking.h"
#include "env/env.h"

namespace quoin::utl {

using cli::Command;
using cli::Console;
using cli::ExitCode;

const cli::Program& TheProgram();

class Invocation : public cli::Invocation {
 public:
  Invocation(env::Env& env, Console& console, std::vector<const Command*> path, cli::Flags flags,
             std::vector<std::string> arguments);

  env::Env& env() { return env_; }
  env::BlockingFileSystem& files() { return env_.files().blocking(); }
  // Lines in the form of etcdutl's, on the error stream.
  Logger& log() { return *log_; }
  const std::string& format() const { return flags().String("write-out"); }

  // With exit code 1.
  ExitCode Fail(const Status& status);
  using cli::Invocation::Fail;
  // Whether all of these flags were given; prints the error and the command's help when not.
  bool HasFlags(std::span<const std::string_view> names);
  // Whether --write-out names a format; prints the error when not.
  bool HasFormat();
  // --write-out names one that this command cannot print.
  ExitCode UnsupportedFormat();

  // Locks a file, and waits for it as long as --timeout says. FailedPrecondition when another
  // process still has it then.
  StatusOr<std::unique_ptr<env::FileLock>> Lock(const std::string& path, bool exclusive);

 private:
  env::Env& env_;
  std::unique_ptr<Logger> log_;
};

// Runs the program. `arguments` are without its name.
ExitCode RunProgram(env::Env& env, Console& console, std::span<const std::string> arguments);

// inspect_commands.cc: what changes nothing.
ExitCode RunCheck(Invocation& invocation);
ExitCode RunDump(Invocation& invocation);
ExitCode RunHashKv(Invocation& invocation);
ExitCode RunSnapshotStatus(Invocation& invocation);

// change_commands.cc: what makes or changes directories.
ExitCode RunDefrag(Invocation& invocation);
ExitCode RunMigrate(Invocation& invocation);
ExitCode RunRepair(Invocation& invocation);
ExitCode RunSnapshotRestore(Invocation& invocation);

// invocation.cc
ExitCode RunSnapshotSave(Invocation& invocation);
ExitCode RunVersion(Invocation& invocation);

}  // namespace quoin::utl
