<#
.SYNOPSIS
Installs, enrols and starts the Portcullis gateway on this host. Run again it changes nothing; with another installer it upgrades.

.DESCRIPTION
Takes the bundle of `portcullis gateway add --out` and, apart from it, the token: from a file, or asked for and never shown. The token
stands in no argument of a program and in no variable of the environment.

.PARAMETER Msi
The installer that deploy/windows/msi makes.

.PARAMETER Bundle
The gateway's folder, with gateway.toml in it. A gateway.toml that is on the host already stays.

.PARAMETER TokenFile
The file with the token. Without it, and where the gateway is not enrolled yet, the token is asked for.

.PARAMETER Upgrade
Let the installer replace a program of another version. Without it a gateway that is there keeps its program.

.EXAMPLE
.\Install-PortcullisGateway.ps1 -Msi .\portcullis-gateway-1.2.0.msi -Bundle .\host-001
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory)] [string] $Msi,
    [Parameter(Mandatory)] [string] $Bundle,
    [string] $TokenFile,
    [switch] $Upgrade
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$service = 'PortcullisGateway'
$settings = Join-Path $env:ProgramData 'Portcullis\gateway.toml'
$program = Join-Path $env:ProgramFiles 'Portcullis\portcullis-gateway.exe'

function Invoke-Program([string] $file, [string[]] $arguments) {
    & $file @arguments
    if ($LASTEXITCODE -ne 0) { throw "$file ended with $LASTEXITCODE" }
}

# The folder of settings and secrets, which only SYSTEM and the administrators may enter.
function New-PrivateFolder([string] $path) {
    if (-not (Test-Path -LiteralPath $path)) { New-Item -ItemType Directory -Path $path | Out-Null }
    $access = New-Object System.Security.AccessControl.DirectorySecurity
    $access.SetSecurityDescriptorSddlForm('O:BAG:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)')
    Set-Acl -LiteralPath $path -AclObject $access
}

function Install-Program {
    $said = Join-Path ([IO.Path]::GetTempPath()) 'portcullis-install.log'
    $arguments = @('/i', "`"$((Resolve-Path -LiteralPath $Msi).Path)`"", '/qn', '/l*v', "`"$said`"")
    $run = Start-Process -FilePath msiexec.exe -ArgumentList $arguments -Wait -PassThru
    # 3010: done, and Windows wants to be started again.
    if ($run.ExitCode -notin 0, 3010) { throw "msiexec ended with $($run.ExitCode): see $said" }
}

# What a file needs to be taken for a token: nobody else can read it.
function Get-PrivateCopy([string] $source) {
    $folder = Join-Path $env:ProgramData 'Portcullis\enrol'
    New-PrivateFolder $folder
    $copy = Join-Path $folder 'token'
    Copy-Item -LiteralPath $source -Destination $copy
    return $copy
}

function Register-Gateway {
    if ($TokenFile) {
        $copy = Get-PrivateCopy $TokenFile
        try { Invoke-Program $program @('enroll', '--token-file', $copy) }
        finally { Remove-Item -LiteralPath (Split-Path $copy) -Recurse -Force }
    }
    else {
        # It asks by itself, and shows nothing of what is typed.
        Invoke-Program $program @('enroll')
    }
}

$me = [Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()
if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
    throw 'Only an administrator may install: open the console with Run as administrator.'
}
$bundled = Join-Path $Bundle 'gateway.toml'
if (-not (Test-Path -LiteralPath $bundled)) { throw "$Bundle is no bundle: there is no gateway.toml in it" }

$changed = $false
if (-not (Test-Path -LiteralPath $settings)) {
    # Before the installer, which writes settings only where there are none.
    New-PrivateFolder (Split-Path $settings)
    Copy-Item -LiteralPath $bundled -Destination $settings
    $changed = $true
}
elseif ((Get-FileHash -LiteralPath $settings).Hash -ne (Get-FileHash -LiteralPath $bundled).Hash) {
    Write-Warning "$settings is not that of the bundle, and stays"
}
if ($Upgrade -or -not (Test-Path -LiteralPath $program)) {
    Install-Program
    $changed = $true
}
# It holds a key from the first link on: 6 says that it has neither that nor a token.
& $program status --check | Out-Null
if ($LASTEXITCODE -eq 6) {
    Register-Gateway
    $changed = $true
}
Set-Service -Name $service -StartupType Automatic
if ((Get-Service -Name $service).Status -ne 'Running') {
    Start-Service -Name $service
    $changed = $true
}
if ($changed) { Write-Output 'the gateway is installed, enrolled and running' } else { Write-Output 'nothing was changed' }
