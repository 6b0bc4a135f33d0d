# The daemon on a NixOS host. `flake` is this repository, as agents' own flakes name it.
{ packages, flake }:
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.hyperhive;
  format = pkgs.formats.toml { };
  file = format.generate "hyperhive.toml" cfg.settings;
  port = lib.toInt (lib.last (lib.splitString ":" cfg.settings.listen));
in
{
  options.services.hyperhive = {
    enable = lib.mkEnableOption "hyperhive, a supervisor of Claude agents";

    package = lib.mkOption {
      type = lib.types.package;
      default = packages.${pkgs.stdenv.hostPlatform.system}.hyperhive;
      description = "The daemon and its commands.";
    };

    settings = lib.mkOption {
      type = lib.types.submodule {
        freeformType = format.type;
        options.listen = lib.mkOption {
          type = lib.types.str;
          default = "127.0.0.1:7000";
          description = "Where HTTP is served.";
        };
        options.runtime = lib.mkOption {
          type = lib.types.str;
          default = "nixos";
          description = "Where agents live.";
        };
        options.nixos.flake = lib.mkOption {
          type = lib.types.str;
          default = flake;
          defaultText = "this flake";
          description = "What agents' systems build on. A name of the registry would not do: Nix 2.26 and later looks only into the global one.";
        };
      };
      default = { };
      example = {
        claude.model = "opus";
        limits.parallel_actions = 2;
      };
      description = "hyperhive.toml; `hyperhive config --explain` lists the keys. It is readable by everybody: no secrets.";
    };

    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether the port of `settings.listen` can be reached from elsewhere.";
    };

    environmentFile = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      example = "/run/secrets/hyperhive";
      description = "Variables for the daemon (HYPERHIVE_CLAUDE_CREDENTIALS_FILE, …), from a file outside of the store.";
    };

    adminUsers = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "alice" ];
      description = "Who may give commands: the members of the group hive-admin.";
    };
  };

  config = lib.mkIf cfg.enable {
    users.groups.hive-admin.members = cfg.adminUsers;
    environment.systemPackages = [ cfg.package ];
    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [ port ];
    # The kernel's own part of nixos-container.
    boot.enableContainers = true;

    # What is made in there has its group: host.sock.
    # The others are made by nixos-container, which the unit below keeps from making directories there.
    systemd.tmpfiles.rules = [
      "d /run/hyperhive 2750 root hive-admin -"
      "d /etc/nixos-containers 0755 root root -"
      "d /var/lib/nixos-containers 0700 root root -"
    ];

    systemd.services.hyperhive = {
      description = "hyperhive, a supervisor of Claude agents";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      # nixos-container, nix, machinectl, journalctl, bwrap.
      path = [
        "/run/current-system/sw"
        pkgs.nixos-container
        pkgs.bubblewrap
        pkgs.git
        config.nix.package
      ];
      # Agents run on; a change of the daemon restarts the daemon.
      serviceConfig = {
        Type = "notify";
        NotifyAccess = "main";
        ExecStart = "${lib.getExe cfg.package} serve --config ${file}";
        ExecReload = "${pkgs.coreutils}/bin/kill -HUP $MAINPID";
        EnvironmentFile = lib.optional (cfg.environmentFile != null) cfg.environmentFile;
        Restart = "on-failure";
        RestartSec = 2;
        WatchdogSec = 60;
        TimeoutStartSec = 180;
        TimeoutStopSec = 60;
        KillMode = "process";
        StateDirectory = "hyperhive";
        StateDirectoryMode = "0700";
        # Of Nix, which may not write to root's home.
        CacheDirectory = "hyperhive";
        CacheDirectoryMode = "0700";
        # To read the journals of its agents' containers.
        SupplementaryGroups = [ "systemd-journal" ];
        UMask = "0077";
        LimitNOFILE = 65536;
        ProtectSystem = "strict";
        ReadWritePaths = [
          "/run"
          "-/var/lib/containers"
          "/etc/nixos-containers"
          "/var/lib/nixos-containers"
          "/nix/var/nix"
        ];
        PrivateTmp = true;
        ProtectHome = "read-only";
        ProtectClock = true;
        ProtectKernelLogs = true;
        LockPersonality = true;
        RestrictRealtime = true;
        SystemCallArchitectures = "native";
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
        ];
      };
    };
  };
}
