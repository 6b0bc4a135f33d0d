# A stand-in for the little of nixpkgs' library that the modules use, so that they can be evaluated without it. It merges
# nothing and checks no type: what it shows is that the modules evaluate, and to what.
let
  resolve =
    value:
    if builtins.isAttrs value then
      if value ? __if then
        (if value.__if then resolve value.content else { })
      else if value ? __priority then
        resolve value.content
      else if value ? outPath then
        "${value}"
      else
        builtins.mapAttrs (_: resolve) value
    else if builtins.isList value then
      map resolve value
    else
      value;

  lib = {
    mkOption = given: given // { __option = true; };
    mkEnableOption = about: {
      __option = true;
      type = "bool";
      default = false;
      description = about;
    };
    mkIf = condition: content: {
      __if = condition;
      inherit content;
    };
    mkDefault = content: {
      __priority = 1000;
      inherit content;
    };
    mkForce = content: {
      __priority = 50;
      inherit content;
    };
    optional = condition: value: if condition then [ value ] else [ ];
    getExe = package: "${package}/bin/${package.mainProgram}";
    escapeShellArgs = words: builtins.concatStringsSep " " (map (word: "'${word}'") words);
    last = list: builtins.elemAt list (builtins.length list - 1);
    splitString = at: text: builtins.filter builtins.isString (builtins.split at text);
    toInt = builtins.fromJSON;
    types = {
      package = "package";
      bool = "bool";
      str = "str";
      path = "path";
      nullOr = of: "null or ${of}";
      listOf = of: "list of ${of}";
      submodule = module: { inherit module; };
    };
  };

  package = name: {
    outPath = "/nix/${name}";
    mainProgram = name;
  };

  pkgs = {
    stdenv.hostPlatform.system = "x86_64-linux";
    formats.toml = _: {
      type = "toml";
      generate = name: value: "/nix/${builtins.hashString "md5" (builtins.toJSON value)}-${name}";
    };
    nixos-container = package "nixos-container";
    bubblewrap = package "bubblewrap";
    git = package "git";
    coreutils = package "coreutils";
    runtimeShell = "/nix/bash/bin/bash";
  };

  # Of an option: its own value, or its default; of a submodule the defaults of its options below that.
  defaults = builtins.mapAttrs (_: inner: if inner ? __option then inner.default else defaults inner);
  valued =
    option: given:
    if option ? type && builtins.isAttrs option.type && option.type ? module then
      defaults option.type.module.options // given
    else
      given;
in
{
  packages.x86_64-linux = {
    hyperhive = package "hyperhive";
    harness = package "hyperhive-harness";
  };

  options =
    module:
    let
      declared = (module { inherit lib pkgs; config = { }; }).options;
    in
    {
      "services.hyperhive" = builtins.mapAttrs (
        name: option:
        assert option.__option;
        assert builtins.stringLength option.description > 0;
        name
      ) declared.services.hyperhive;
    };

  config =
    module: given:
    let
      options = (module { inherit lib pkgs; config = { }; }).options.services.hyperhive;
      set = builtins.mapAttrs (
        name: option: valued option (if given ? ${name} then given.${name} else option.default)
      ) options;
      made = module {
        inherit lib pkgs;
        config = {
          services.hyperhive = set;
          nix.package = package "nix";
        };
      };
    in
    resolve made.config;

  base =
    module: hostName:
    let
      made = module {
        inherit lib pkgs;
        config = {
          networking = { inherit hostName; };
          hive.harness = package "hyperhive-harness";
        };
      };
    in
    resolve made.config;
}
