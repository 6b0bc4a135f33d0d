# What stand_in.nix offers, made of the real library of nixpkgs: modules are merged and types are checked by it. What comes
# from NixOS itself is declared here, by name and type, and packages are names; nothing is built.
{ lib }:
let
  inherit (lib) mkOption types;

  package = name: {
    type = "derivation";
    inherit name;
    outPath = "/nix/${name}";
    meta.mainProgram = name;
  };

  # nixpkgs/pkgs/pkgs-lib/formats.nix: what TOML can say.
  tomlValue =
    with types;
    nullOr (oneOf [
      bool
      int
      float
      str
      path
      (attrsOf tomlValue)
      (listOf tomlValue)
    ])
    // {
      description = "TOML value";
    };

  pkgs = {
    stdenv.hostPlatform.system = "x86_64-linux";
    formats.toml = _: {
      type = tomlValue;
      generate = name: value: "/nix/${builtins.hashString "md5" (builtins.toJSON value)}-${name}";
    };
    nixos-container = package "nixos-container";
    bubblewrap = package "bubblewrap";
    git = package "git";
    coreutils = package "coreutils";
    runtimeShell = "/nix/bash/bin/bash";
  };

  option = type: mkOption { inherit type; };
  orElse = type: default: mkOption { inherit type default; };

  # systemd-lib's unitOption: a value, or several; more than one definition of one value is a conflict.
  unitValue =
    with types;
    let
      atom = nullOr (oneOf [
        bool
        int
        float
        str
        path
        types.package
      ]);
    in
    either atom (listOf atom);

  nixos = {
    options = {
      users.groups = orElse (types.attrsOf (
        types.submodule {
          options.gid = orElse (types.nullOr types.int) null;
          options.members = orElse (types.listOf types.str) [ ];
        }
      )) { };
      users.users = orElse (types.attrsOf (
        types.submodule {
          options = {
            uid = orElse (types.nullOr types.int) null;
            group = orElse types.str "";
            isNormalUser = orElse types.bool false;
            createHome = orElse types.bool false;
            home = orElse types.path "/var/empty";
          };
        }
      )) { };
      environment.systemPackages = orElse (types.listOf types.package) [ ];
      networking = {
        hostName = orElse types.str "nixos";
        useHostResolvConf = orElse types.bool true;
        useDHCP = orElse types.bool true;
        firewall.allowedTCPPorts = orElse (types.listOf types.port) [ ];
      };
      boot.enableContainers = orElse types.bool false;
      boot.isContainer = orElse types.bool false;
      nix.package = orElse types.package (package "nix");
      nix.registry = orElse (types.attrsOf types.anything) { };
      nixpkgs.hostPlatform = orElse types.str "x86_64-linux";
      programs.git.enable = orElse types.bool false;
      programs.git.config = orElse (types.attrsOf (types.attrsOf types.anything)) { };
      security.sudo.enable = orElse types.bool true;
      system.stateVersion = option types.str;
      virtualisation.memorySize = orElse types.int 1024;
      systemd.tmpfiles.rules = orElse (types.listOf types.str) [ ];
      systemd.services = orElse (types.attrsOf (
        types.submodule {
          options = {
            description = orElse types.singleLineStr "";
            wantedBy = orElse (types.listOf types.str) [ ];
            wants = orElse (types.listOf types.str) [ ];
            after = orElse (types.listOf types.str) [ ];
            environment = orElse (types.attrsOf types.str) { };
            path = orElse (types.listOf (types.oneOf [ types.package types.str ])) [ ];
            restartIfChanged = orElse types.bool true;
            unitConfig = orElse (types.attrsOf unitValue) { };
            serviceConfig = orElse (types.attrsOf unitValue) { };
          };
        }
      )) { };
    };
  };

  evaluated =
    modules:
    lib.evalModules {
      modules = [ nixos ] ++ modules;
      specialArgs = { inherit pkgs; };
    };

  # Packages become their paths, so that all of it is JSON.
  plain =
    value:
    if lib.isDerivation value then
      "${value}"
    else if builtins.isAttrs value then
      builtins.mapAttrs (_: plain) value
    else if builtins.isList value then
      map plain value
    else
      value;
in
{
  inherit evaluated pkgs plain;

  packages.x86_64-linux = {
    hyperhive = package "hyperhive";
    harness = package "hyperhive-harness";
  };

  options = module: {
    "services.hyperhive" = builtins.mapAttrs (
      name: option:
      assert lib.isOption option;
      assert builtins.stringLength option.description > 0;
      name
    ) (evaluated [ module ]).options.services.hyperhive;
  };

  config =
    module: given:
    let
      config = (evaluated [ module { services.hyperhive = given; } ]).config;
    in
    plain {
      inherit (config)
        users
        environment
        networking
        systemd
        ;
    };

  base =
    module: hostName:
    let
      config =
        (evaluated [
          module
          { networking.hostName = lib.mkForce hostName; }
        ]).config;
    in
    plain {
      inherit (config)
        users
        networking
        programs
        security
        system
        systemd
        ;
      inherit (config.boot) isContainer;
    };
}
