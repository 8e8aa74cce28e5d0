<?php
/**
 * The way into the learning site: /?academy_bridge=launch&target=WORD
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

use WP_User;

defined( 'ABSPATH' ) || exit;

/**
 * Signs the visitor in at the bridge: a page with a form that posts itself.
 *
 * A link starts it, and a link on another site may: it signs visitors in as themselves, nobody else, and leads to a
 * word of a list. So there is no nonce, and links in mails work. What must not be is a page that shows it in a frame.
 */
final class Launch {

	const PARAMETER = 'academy_bridge';
	const AFTER     = 'academy_bridge_target';

	/**
	 * Whoever may do one of these is staff, and is never signed in from the shop.
	 */
	const STAFF = array(
		'manage_options',
		'manage_woocommerce',
		'edit_shop_orders',
		'view_woocommerce_reports',
		'view_admin_dashboard',
		'edit_posts',
		'edit_pages',
		'edit_products',
		'edit_others_posts',
		'upload_files',
		'moderate_comments',
		'list_users',
		'edit_users',
		'create_users',
		'promote_users',
		'activate_plugins',
		'install_plugins',
		'edit_theme_options',
		'manage_network',
	);

	/**
	 * Hook in.
	 */
	public static function register(): void {
		// Before the canonical redirect, and before themes and other plugins send the visitor elsewhere.
		add_action( 'template_redirect', array( self::class, 'handle' ), 0 );
		add_action( 'template_redirect', array( self::class, 'go_on' ), 1 );
	}

	/**
	 * The address that leads to a target: safe to mail, for it carries no token.
	 *
	 * @param string $target A valid target.
	 */
	public static function url( string $target ): string {
		return home_url( '/?' . self::PARAMETER . '=launch&target=' . $target );
	}

	/**
	 * Answer the launch address.
	 */
	public static function handle(): void {
		if ( 'launch' !== self::asked( self::PARAMETER ) ) {
			return;
		}
		self::send_headers();
		$target = self::asked( 'target' );
		$method = isset( $_SERVER['REQUEST_METHOD'] ) ? sanitize_key( $_SERVER['REQUEST_METHOD'] ) : '';
		if ( 'get' !== $method ) {
			status_header( 405 );
			header( 'Allow: GET' );
			exit;
		}
		if ( ! Target::is_valid( $target ) ) {
			self::tell( 400, __( 'This link is not right', 'academy-bridge' ), __( 'It may have been cut off. Please open your course from your account.', 'academy-bridge' ) );
		}
		if ( ! Settings::ready() ) {
			self::tell( 503, __( 'Not set up yet', 'academy-bridge' ), __( 'The way to the learning site is not set up yet. Please try again later.', 'academy-bridge' ) );
		}
		if ( ! is_user_logged_in() ) {
			wp_safe_redirect( self::login_url( $target ) );
			exit;
		}
		$user = wp_get_current_user();
		if ( self::is_staff( $user ) ) {
			self::tell( 403, __( 'Staff sign in to the learning site themselves', 'academy-bridge' ), __( 'Your account may manage this shop. Such accounts are not signed in from here: please sign in to the learning site as you usually do there, or try this with a customer account.', 'academy-bridge' ) );
		}
		self::show_form( $user, $target );
	}

	/**
	 * Go on to where somebody wanted to, once they have signed in on the account page.
	 */
	public static function go_on(): void {
		$target = self::asked( self::AFTER );
		if ( is_user_logged_in() && Target::is_valid( $target ) && function_exists( 'is_account_page' ) && is_account_page() ) {
			self::send_headers();
			wp_safe_redirect( self::url( $target ) );
			exit;
		}
	}

	/**
	 * Whether a user may do anything that only staff may.
	 *
	 * @param WP_User $user Somebody.
	 */
	public static function is_staff( WP_User $user ): bool {
		/**
		 * More capabilities that make somebody staff. None can be taken from the list.
		 *
		 * @param string[] $capabilities Capabilities.
		 */
		$more = (array) apply_filters( 'academy_bridge_staff_capabilities', array() );
		foreach ( array_merge( self::STAFF, $more ) as $capability ) {
			if ( user_can( $user, $capability ) ) {
				return true;
			}
		}
		return is_super_admin( $user->ID );
	}

	/**
	 * What the token says of the visitor.
	 *
	 * @param WP_User $user   The visitor.
	 * @param string  $target Where they want to.
	 * @return array<string,mixed>
	 */
	public static function claims( WP_User $user, string $target ): array {
		$sid = Sign_Out::sid( wp_get_session_token() );
		return array(
			'sub'            => (string) $user->ID,
			'email'          => $user->user_email,
			'email_verified' => self::is_email_verified( $user ),
			'given_name'     => self::name( $user, 'first_name' ),
			'family_name'    => self::name( $user, 'last_name' ),
			'locale'         => get_user_locale( $user ),
			'target'         => $target,
		) + ( '' === $sid ? array() : array( 'sid' => $sid ) );
	}

	/**
	 * Whether WooCommerce (11 and later) had the account's address confirmed. It keeps the address it confirmed, so a
	 * changed one is unconfirmed again.
	 *
	 * @param WP_User $user The visitor.
	 */
	private static function is_email_verified( WP_User $user ): bool {
		$verified = get_user_meta( $user->ID, '_wc_email_verified', true );
		return is_string( $verified ) && '' !== $verified && strtolower( $user->user_email ) === $verified;
	}

	/**
	 * A name of the account, or else of its billing address; at most 100 characters.
	 *
	 * @param WP_User $user  The visitor.
	 * @param string  $field "first_name" or "last_name".
	 */
	private static function name( WP_User $user, string $field ): string {
		$name = trim( (string) get_user_meta( $user->ID, $field, true ) );
		$name = '' !== $name ? $name : trim( (string) get_user_meta( $user->ID, 'billing_' . $field, true ) );
		return mb_substr( wp_strip_all_tags( $name ), 0, 100 );
	}

	/**
	 * The shop's own sign-in, and the way back.
	 *
	 * @param string $target Where the visitor wants to.
	 */
	private static function login_url( string $target ): string {
		$account = function_exists( 'wc_get_page_permalink' ) ? (string) wc_get_page_permalink( 'myaccount', '' ) : '';
		return '' !== $account ? add_query_arg( self::AFTER, $target, $account ) : wp_login_url( self::url( $target ) );
	}

	/**
	 * A parameter of the address as it came, or "". It is only ever compared with words and the grammar of targets:
	 * cleaning it would make some addresses valid that are not.
	 *
	 * @param string $name Its name.
	 */
	public static function asked( string $name ): string {
		// phpcs:ignore WordPress.Security.NonceVerification.Recommended, WordPress.Security.ValidatedSanitizedInput -- See above, and the class.
		$value = $_GET[ $name ] ?? '';
		return is_string( $value ) ? wp_unslash( $value ) : '';
	}

	/**
	 * Nobody stores this page, frames it, or is told its address.
	 */
	private static function send_headers(): void {
		if ( ! defined( 'DONOTCACHEPAGE' ) ) {
			define( 'DONOTCACHEPAGE', true ); // phpcs:ignore WordPress.NamingConventions.PrefixAllGlobals -- The name that caches know.
		}
		do_action( 'litespeed_control_set_nocache', 'academy-bridge' ); // phpcs:ignore WordPress.NamingConventions.PrefixAllGlobals -- Theirs.
		nocache_headers();
		header( 'Cache-Control: no-store, no-cache, must-revalidate, max-age=0, private' );
		header( 'Referrer-Policy: strict-origin' );
		header( 'X-Frame-Options: DENY' );
		header( 'X-Content-Type-Options: nosniff' );
		header( 'X-Robots-Tag: noindex, nofollow' );
	}

	/**
	 * The page that posts itself; with a button, for browsers without JavaScript.
	 *
	 * @param WP_User $user   The visitor.
	 * @param string  $target Where they want to.
	 */
	private static function show_form( WP_User $user, string $target ): void {
		$form  = '<form method="post" action="' . esc_url( Settings::address() . '/sso/launch' ) . '" id="academy-bridge-launch">';
		$form .= '<input type="hidden" name="token" value="' . esc_attr( Bridge::token( 'launch', self::claims( $user, $target ) ) ) . '">';
		$form .= '<p>' . esc_html__( 'If nothing happens, please press the button.', 'academy-bridge' ) . '</p>';
		$form .= '<button type="submit">' . esc_html__( 'Go on to the learning site', 'academy-bridge' ) . '</button></form>';
		self::page( 200, __( 'Signing you in …', 'academy-bridge' ), $form, "document.getElementById('academy-bridge-launch').submit();" );
	}

	/**
	 * A plain page with a sentence, and the end.
	 *
	 * @param int    $status   HTTP's.
	 * @param string $title    The page's.
	 * @param string $sentence What to say.
	 */
	private static function tell( int $status, string $title, string $sentence ): void {
		$back = '<p><a href="' . esc_url( home_url( '/' ) ) . '">' . esc_html__( 'Back to the shop', 'academy-bridge' ) . '</a></p>';
		self::page( $status, $title, '<p>' . esc_html( $sentence ) . '</p>' . $back );
	}

	/**
	 * Send a whole page and stop. It loads nothing from anywhere.
	 *
	 * The policy does not name where the form may post to: browsers hold every redirect after it to that list, and
	 * where the bridge leads on to is not for the shop to know.
	 *
	 * @param int    $status HTTP's.
	 * @param string $title  The page's.
	 * @param string $inside HTML, escaped.
	 * @param string $script JavaScript of ours, or "".
	 */
	private static function page( int $status, string $title, string $inside, string $script = '' ): void {
		$nonce = Token::base64url( random_bytes( 18 ) );
		status_header( $status );
		header( 'Content-Type: text/html; charset=utf-8' );
		header( "Content-Security-Policy: default-src 'none'; script-src 'nonce-$nonce'; style-src 'nonce-$nonce'; base-uri 'none'; frame-ancestors 'none'" );
		$style = 'body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1.5rem;color:#1d2327;background:#fff}button{font:inherit;padding:.6rem 1.2rem;border:0;border-radius:.3rem;background:#1d4f91;color:#fff;cursor:pointer}a{color:#1d4f91}';
		echo '<!DOCTYPE html><html ' . get_language_attributes() . '><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'; // phpcs:ignore WordPress.Security.EscapeOutput.OutputNotEscaped -- Escaped by WordPress.
		echo '<title>' . esc_html( $title ) . '</title><style nonce="' . esc_attr( $nonce ) . '">' . $style . '</style></head>'; // phpcs:ignore WordPress.Security.EscapeOutput.OutputNotEscaped -- A constant.
		echo '<body><main><h1>' . esc_html( $title ) . '</h1>' . $inside . '</main>'; // phpcs:ignore WordPress.Security.EscapeOutput.OutputNotEscaped -- Escaped where it was made.
		if ( '' !== $script ) {
			echo '<script nonce="' . esc_attr( $nonce ) . '">' . $script . '</script>'; // phpcs:ignore WordPress.Security.EscapeOutput.OutputNotEscaped -- A constant.
		}
		echo '</body></html>';
		exit;
	}
}
