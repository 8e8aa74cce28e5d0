<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * @package auth_bridge
 */

defined('MOODLE_INTERNAL') || die();

$string['about'] = 'Les clients de la boutique de l\'académie accèdent à leurs cours en un clic. La boutique se porte garante d\'eux auprès de la passerelle, celle-ci signe un jeton pour ce site, et ce site le vérifie. La passerelle doit connaître ce site exactement sous cette adresse : <strong>{$a}</strong>';
$string['auth_bridgedescription'] = 'Les clients de la boutique de l\'académie se connectent par la passerelle. Il n\'y a pas de mots de passe.';
$string['authmethods'] = 'Méthodes d\'authentification autorisées';
$string['authmethods_desc'] = 'Les comptes de toute autre méthode ne sont pas connectés par la passerelle. Elle crée elle-même des « comptes manuels ».';
$string['bridge:lookataccount'] = 'Apprendre de quelle sorte est un compte';
$string['bridgeurl'] = 'Adresse de la passerelle';
$string['bridgeurl_desc'] = 'Telle que la passerelle la connaît elle-même (son public_url), par exemple https://bridge.example.com. Elle doit être en https.';
$string['cachedef_jwks'] = 'Clés publiques de la passerelle';
$string['denied'] = 'Capacités qui excluent';
$string['denied_desc'] = 'Une par ligne. Quiconque en possède une pour tout le site ou dans son locataire, ou a reçu où que ce soit un rôle qui en permet une, fait partie du personnel et doit se connecter ici avec son propre mot de passe. Les administrateurs du site et le visiteur anonyme ne sont jamais connectés par la passerelle, quoi qu\'il soit écrit ici.';
$string['endvisit'] = 'Se déconnecter aussi de la passerelle';
$string['endvisit_desc'] = 'Quiconque a été connecté par la passerelle et se déconnecte ici est dirigé vers elle : sa visite y prend fin, et la boutique est proposée. Sinon, sur un ordinateur partagé, la personne suivante pourrait continuer depuis là tant que cette visite dure.';
$string['error_address'] = 'Il faut une adresse https sans nom d\'utilisateur.';
$string['error_capabilities'] = 'Cette capacité n\'existe pas : {$a}';
$string['error_publickeys'] = 'Seules des clés publiques RSA de 2048 à 8192 bits au format PEM (« BEGIN PUBLIC KEY ») sont acceptées, et rien d\'autre à côté.';
$string['error_tenant'] = 'Aucun locataire ne porte cet identifiant.';
$string['event_login_accepted'] = 'Connexion par la passerelle';
$string['event_login_refused'] = 'Connexion par la passerelle refusée';
$string['jwksurl'] = 'Adresse des clés';
$string['jwksurl_desc'] = 'À laisser vide, sauf si la passerelle publie ses clés ailleurs que sous /.well-known/jwks.json à son adresse. Elles sont conservées une heure ; une clé inconnue est demandée au plus une fois par minute.';
$string['leeway'] = 'Écart d\'horloge autorisé';
$string['leeway_desc'] = 'Nombre de secondes dont les horloges de la passerelle et de ce site peuvent différer.';
$string['loginbutton'] = 'Afficher sur la page de connexion';
$string['loginbutton_desc'] = 'Un lien pour se connecter avec la boutique de l\'académie, à côté du formulaire de nom et de mot de passe.';
$string['pluginname'] = 'Passerelle vers la boutique de l\'académie';
$string['publickeys'] = 'Clés publiques collées';
$string['publickeys_desc'] = 'Seulement si ce site ne peut pas joindre la passerelle : ses clés publiques au format PEM. Rien n\'est alors téléchargé, et tout changement de clés de la passerelle est à reporter ici à la main.';
$string['refused'] = 'La connexion avec la boutique de l\'académie n\'a pas abouti. Veuillez recommencer depuis la boutique, ou vous connecter ici.';
$string['refused_administrator'] = 'le compte est administrateur du site';
$string['refused_audience'] = 'le jeton a été fait pour un autre site';
$string['refused_authmethod'] = 'le compte a une méthode d\'authentification non autorisée';
$string['refused_capability'] = 'le compte possède une capacité de la liste qui exclut';
$string['refused_claims'] = 'une indication du jeton manque ou n\'est pas du bon type';
$string['refused_expired'] = 'le jeton a expiré';
$string['refused_future'] = 'le jeton vient du futur';
$string['refused_guest'] = 'le compte est celui du visiteur anonyme';
$string['refused_header'] = 'le jeton a un autre algorithme, type ou en-tête que convenu';
$string['refused_issuer'] = 'le jeton a été fait par un autre émetteur';
$string['refused_key'] = 'le jeton nomme une clé que la passerelle ne publie pas';
$string['refused_lifetime'] = 'le jeton vivrait plus longtemps que permis';
$string['refused_malformed'] = 'ce n\'est pas un jeton';
$string['refused_nonce'] = 'le jeton n\'a pas été fait pour ce navigateur, ou il y a trop longtemps';
$string['refused_notconfigured'] = 'le plugin n\'est pas activé, ou l\'adresse de la passerelle manque';
$string['refused_nouser'] = 'ce compte n\'existe pas';
$string['refused_replay'] = 'le jeton a déjà servi';
$string['refused_signature'] = 'la signature n\'est pas celle de la passerelle';
$string['refused_suspended'] = 'le compte est suspendu';
$string['refused_target'] = 'le jeton mène hors de ce site';
$string['refused_tenant'] = 'le compte n\'est pas membre du locataire configuré';
$string['refused_tenantsuspended'] = 'le locataire du compte est suspendu';
$string['refused_unconfirmed'] = 'le compte n\'est pas confirmé';
$string['refused_username'] = 'le compte a un autre nom d\'utilisateur que celui connu de la passerelle';
$string['signin'] = 'Se connecter avec la boutique de l\'académie';
$string['signingin'] = 'Connexion en cours';
$string['task_cleanup'] = 'Oublier les jetons de connexion utilisés et expirés';
$string['tenant'] = 'Seulement les membres de ce locataire';
$string['tenant_desc'] = 'L\'identifiant du locataire. À laisser vide pour laisser entrer les membres de tous les locataires et les utilisateurs du site qui n\'en ont pas. Les membres d\'un locataire suspendu n\'entrent jamais.';
