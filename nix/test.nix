# A NixOS host with a hive, in a virtual machine: `nix flake check` runs it, where there is KVM and nixpkgs.
{ module }:
{
  name = "hyperhive";

  nodes.host =
    { pkgs, ... }:
    {
      imports = [ module ];
      services.hyperhive = {
        enable = true;
        adminUsers = [ "alice" ];
        # What a virtual machine without a network can build of.
        settings.runtime = "bubblewrap";
      };
      users.users.alice.isNormalUser = true;
      users.users.mallory.isNormalUser = true;
      virtualisation.memorySize = 2048;
    };

  testScript = ''
    host.wait_for_unit("hyperhive.service")
    host.succeed("hyperhive doctor")
    host.succeed("su alice -c 'hyperhive ps'")
    host.fail("su mallory -c 'hyperhive ps'")
    host.wait_for_open_port(7000, "127.0.0.1")
    host.succeed("hyperhive spawn coder")
    host.wait_until_succeeds("hyperhive ps --json | grep -q '\"running\": *true'")
    host.succeed("systemctl restart hyperhive.service")
    host.wait_until_succeeds("hyperhive ps")
    host.succeed("hyperhive log verify")
  '';
}
