<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * @package auth_bridge
 */

defined('MOODLE_INTERNAL') || die();

$string['about'] = 'Customers of the academy shop come into their courses with one click. The shop vouches for them to the bridge, the bridge signs a token for this site, and this site checks it. The bridge must know this site by exactly this address: <strong>{$a}</strong>';
$string['auth_bridgedescription'] = 'Customers of the academy shop sign in by the bridge. There are no passwords.';
$string['authmethods'] = 'Allowed authentication methods';
$string['authmethods_desc'] = 'Accounts of any other method are not signed in by the bridge. "Manual accounts" is what the bridge makes by itself.';
$string['bridge:lookataccount'] = 'Be told what kind of account somebody has';
$string['bridgeurl'] = 'Address of the bridge';
$string['bridgeurl_desc'] = 'As the bridge itself knows it (its public_url), such as https://bridge.example.com. It must be https.';
$string['cachedef_jwks'] = 'Public keys of the bridge';
$string['denied'] = 'Capabilities that keep out';
$string['denied_desc'] = 'One a line. Who holds one of them for the whole site or in their tenant, or was given a role anywhere that allows one, is staff and has to sign in here with their own password. Site administrators and guests are never signed in by the bridge, whatever stands here.';
$string['endvisit'] = 'Log out of the bridge too';
$string['endvisit_desc'] = 'Whoever was signed in by the bridge and logs out here is sent on to the bridge, which ends their visit there and leads back to the shop. Otherwise the next person at a shared computer could go on from there for as long as it lasts.';
$string['error_address'] = 'This has to be an https address without a user name in it.';
$string['error_capabilities'] = 'There is no such capability: {$a}';
$string['error_publickeys'] = 'Only RSA public keys of 2048 to 8192 bits in PEM form ("BEGIN PUBLIC KEY") can be taken, and nothing else beside them.';
$string['error_tenant'] = 'There is no tenant with this identifier.';
$string['event_login_accepted'] = 'Signed in by the bridge';
$string['event_login_refused'] = 'Sign-on by the bridge refused';
$string['jwksurl'] = 'Address of the keys';
$string['jwksurl_desc'] = 'Leave it empty, unless the bridge publishes its keys elsewhere than at /.well-known/jwks.json below its address. They are kept for an hour; an unknown key is asked for at most once a minute.';
$string['leeway'] = 'Allowed difference of clocks';
$string['leeway_desc'] = 'Seconds by which the clocks of the bridge and of this site may differ.';
$string['loginbutton'] = 'Show on the login page';
$string['loginbutton_desc'] = 'A link to sign in with the academy shop, beside the form for name and password.';
$string['pluginname'] = 'Bridge to the academy shop';
$string['publickeys'] = 'Public keys, pasted';
$string['publickeys_desc'] = 'Only if this site cannot reach the bridge: its public keys in PEM form. Nothing is fetched then, and a change of keys at the bridge has to be made here by hand.';
$string['refused'] = 'Signing in with the academy shop did not work. Please start again from the shop, or sign in here.';
$string['refused_administrator'] = 'the account is a site administrator';
$string['refused_audience'] = 'the token was made for another site';
$string['refused_authmethod'] = 'the account has an authentication method that is not allowed';
$string['refused_capability'] = 'the account holds a capability of the list that keeps out';
$string['refused_claims'] = 'a claim of the token is missing or of the wrong kind';
$string['refused_expired'] = 'the token has expired';
$string['refused_future'] = 'the token comes from the future';
$string['refused_guest'] = 'the account is the guest';
$string['refused_header'] = 'the token has another algorithm, type or header than agreed';
$string['refused_issuer'] = 'the token was made by another issuer';
$string['refused_key'] = 'the token names a key that the bridge does not publish';
$string['refused_lifetime'] = 'the token would live longer than it may';
$string['refused_malformed'] = 'this is no token';
$string['refused_nonce'] = 'the token was not made for this browser, or too long ago';
$string['refused_notconfigured'] = 'the plugin is not enabled, or the address of the bridge is not set';
$string['refused_nouser'] = 'there is no such account';
$string['refused_replay'] = 'the token was used before';
$string['refused_signature'] = 'the signature is not the bridge\'s';
$string['refused_suspended'] = 'the account is suspended';
$string['refused_target'] = 'the token leads out of this site';
$string['refused_tenant'] = 'the account is not a member of the configured tenant';
$string['refused_tenantsuspended'] = 'the account\'s tenant is suspended';
$string['refused_unconfirmed'] = 'the account is not confirmed';
$string['refused_username'] = 'the account has another username than the bridge knows';
$string['signin'] = 'Sign in with the academy shop';
$string['signingin'] = 'Signing in';
$string['task_cleanup'] = 'Forget used sign-on tokens that have expired';
$string['tenant'] = 'Only members of this tenant';
$string['tenant_desc'] = 'The tenant identifier. Leave it empty to let in members of every tenant, and users of the site without one. Members of a suspended tenant are never let in.';
