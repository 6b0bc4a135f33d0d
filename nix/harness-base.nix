# The base of every agent's container. An agent's own agent.nix comes on top, and what the host decides on top of that.
{ packages }:
{
  config,
  lib,
  pkgs,
  ...
}:

let
  unit = if config.networking.hostName == "h-manager" then "hive-m1nd" else "hive-ag3nt";
in
{
  options.hive.harness = lib.mkOption {
    type = lib.types.package;
    default = packages.${pkgs.stdenv.hostPlatform.system}.harness;
    description = "The harness that waits for the agent's mail.";
  };

  config = {
    boot.isContainer = true;
    networking.useHostResolvConf = lib.mkDefault false;
    # Only by the host's say, and without a way out there is nothing to configure.
    networking.useDHCP = lib.mkForce false;
    system.stateVersion = lib.mkDefault "25.11";

    programs.git = {
      enable = true;
      config = {
        init.defaultBranch = lib.mkDefault "main";
        # The host's word comes from flake.nix.
        user.name = lib.mkDefault "agent";
        user.email = lib.mkDefault "agent@hive.invalid";
      };
    };

    users.groups.agent.gid = 1000;
    users.users.agent = {
      uid = 1000;
      group = "agent";
      isNormalUser = true;
      createHome = false;
      home = "/state";
    };
    security.sudo.enable = lib.mkForce false;

    systemd.services.${unit} = {
      description = "the harness of ${config.networking.hostName}";
      wantedBy = [ "multi-user.target" ];
      # Whatever agent.nix adds to environment.systemPackages is found from the next rebuild on.
      path = [ "/run/current-system/sw" ];
      restartIfChanged = false;
      unitConfig = {
        SuccessAction = "exit-force";
        FailureAction = "exit-force";
      };
      serviceConfig = {
        Type = "exec";
        ExecStart = lib.escapeShellArgs [
          "${pkgs.runtimeShell}"
          "${../hyperhive/runtimes/keep.sh}"
          "/run/hive-output"
          "${lib.getExe config.hive.harness}"
        ];
        ExecStopPost = "+${pkgs.runtimeShell} ${../hyperhive/runtimes/power_off.sh}";
        EnvironmentFile = "/run/hive-environment";
        WorkingDirectory = "/state";
        User = "agent";
        Group = "agent";
        RuntimeDirectory = unit;
        RuntimeDirectoryMode = "0700";
        UMask = "0077";
        SyslogIdentifier = "harness";
        KillMode = "mixed";
        TimeoutStopSec = 660;
        OOMPolicy = "continue";
        NoNewPrivileges = true;
        CapabilityBoundingSet = "";
        RestrictNamespaces = true;
        RestrictSUIDSGID = true;
        RestrictRealtime = true;
        LockPersonality = true;
        SystemCallArchitectures = "native";
        KeyringMode = "private";
        RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6 AF_NETLINK";
        SystemCallFilter = "~@keyring bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register open_by_handle_at";
        SystemCallErrorNumber = "EPERM";
      };
    };
  };
}
