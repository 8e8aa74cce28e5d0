<?php
/**
 * "For myself, for my team, as a gift": the buyer's choice, from the product page into the order's line.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

use WC_Order_Item_Product;
use WC_Product;

defined( 'ABSPATH' ) || exit;

/**
 * Asks where the product's offer leaves it open; of a product with variations, the chosen one's offer counts. Without an
 * answer, as from a list's button, the line says nothing and the bridge's own rule counts: one unit is the buyer's,
 * several are to be given away.
 */
final class Choice {

	const FOR_META       = '_bridge_for';
	const GIFT_META      = '_bridge_gift_to';
	const FIELD          = 'academy_bridge_for';
	const ADDRESSES      = 'academy_bridge_gift_to';
	const MOST_BYTES     = 10000;
	const LONGEST        = 100;
	const WITH_VARIATION = array( 'variable', 'variable-subscription' );

	/**
	 * Hook in.
	 */
	public static function register(): void {
		add_action( 'woocommerce_before_add_to_cart_button', array( self::class, 'show' ) );
		add_filter( 'woocommerce_available_variation', array( self::class, 'tell_of_variation' ), 10, 3 );
		add_filter( 'woocommerce_product_supports', array( self::class, 'by_its_page_only' ), 10, 3 );
		add_filter( 'woocommerce_product_add_to_cart_url', array( self::class, 'to_its_page' ), 10, 2 );
		add_filter( 'woocommerce_product_add_to_cart_text', array( self::class, 'says_so' ), 10, 2 );
		add_filter( 'woocommerce_add_to_cart_validation', array( self::class, 'validate' ), 10, 4 );
		add_filter( 'woocommerce_add_cart_item_data', array( self::class, 'keep' ), 10, 3 );
		add_action( 'woocommerce_check_cart_items', array( self::class, 'check_cart' ) );
		add_filter( 'woocommerce_get_item_data', array( self::class, 'show_in_cart' ), 10, 2 );
		add_action( 'woocommerce_checkout_create_order_line_item', array( self::class, 'write' ), 10, 3 );
		add_filter( 'woocommerce_order_item_get_formatted_meta_data', array( self::class, 'show_in_order' ), 10, 2 );
		add_filter( 'woocommerce_hidden_order_itemmeta', array( self::class, 'hide_raw' ) );
	}

	/**
	 * The question, inside the form that puts the product into the cart. Where there are variations to choose from, the
	 * script shows it once a variation is chosen that leaves it open; without scripts none can be chosen.
	 */
	public static function show(): void {
		global $product;
		if ( ! $product instanceof WC_Product || ! Settings::shows( 'choice' ) ) {
			return;
		}
		$later = in_array( $product->get_type(), self::WITH_VARIATION, true );
		if ( ! $later && ! Product::leaves_open( $product ) ) {
			return;
		}
		wp_enqueue_style( 'academy-bridge' );
		wp_enqueue_script( 'academy-bridge-choice', plugins_url( 'assets/choice.js', PLUGIN_FILE ), array( 'jquery' ), VERSION, true );
		$posted  = self::posted();
		$said    = $posted ? $posted['for'] : ( Product::places( $product ) > 1 ? 'team' : 'me' );
		$answers = array(
			'me'   => __( 'For myself', 'academy-bridge' ),
			'team' => __( 'For my team: I give the places away', 'academy-bridge' ),
			'gift' => __( 'As a gift to', 'academy-bridge' ),
		);
		echo '<fieldset class="academy-bridge-choice" data-places="' . esc_attr( (string) Product::places( $product ) ) . '"' . ( $posted ? ' data-said' : '' ) . ( $later ? ' data-variations hidden disabled' : '' ) . '><legend>' . esc_html__( 'For whom is it?', 'academy-bridge' ) . '</legend>';
		foreach ( $answers as $answer => $label ) {
			echo '<label><input type="radio" name="' . esc_attr( self::FIELD ) . '" value="' . esc_attr( $answer ) . '"' . checked( $said, $answer, false ) . '> ' . esc_html( $label ) . '</label>';
		}
		echo '<label class="academy-bridge-addresses"><span>' . esc_html__( 'E-mail address', 'academy-bridge' ) . ' <small class="academy-bridge-several">' . esc_html__( '(one for each place, with commas between)', 'academy-bridge' ) . '</small></span>';
		echo '<input type="email" multiple name="' . esc_attr( self::ADDRESSES ) . '" value="' . esc_attr( $posted ? implode( ', ', $posted['gift_to'] ) : '' ) . '" autocomplete="off" placeholder="' . esc_attr__( 'name@example.org', 'academy-bridge' ) . '"></label></fieldset>';
	}

	/**
	 * Tell the product page's script of a variation that leaves it open.
	 *
	 * @param array<string,mixed>|false $data      What the page is told of the variation.
	 * @param WC_Product                $product   Its product.
	 * @param WC_Product                $variation The variation.
	 */
	public static function tell_of_variation( $data, $product, $variation ) {
		if ( is_array( $data ) && self::is_open( $variation ) ) {
			$data['academy_bridge'] = array( 'places' => Product::places( $variation ) );
		}
		return $data;
	}

	/**
	 * No button in lists that would put it into the cart unasked.
	 *
	 * @param bool       $supports Whether the feature is there.
	 * @param string     $feature  Its name.
	 * @param WC_Product $product  The product.
	 */
	public static function by_its_page_only( $supports, $feature, $product ) {
		return 'ajax_add_to_cart' === $feature && self::is_asked( $product ) ? false : $supports;
	}

	/**
	 * The button in lists leads to the product's page.
	 *
	 * @param string     $url     Where to.
	 * @param WC_Product $product The product.
	 */
	public static function to_its_page( $url, $product ) {
		return self::is_asked( $product ) ? $product->get_permalink() : $url;
	}

	/**
	 * And says so.
	 *
	 * @param string     $text    What the button in lists says.
	 * @param WC_Product $product The product.
	 */
	public static function says_so( $text, $product ) {
		return self::is_asked( $product ) ? __( 'Choose for whom', 'academy-bridge' ) : $text;
	}

	/**
	 * Whether what was chosen can be: a gift needs an address, and a place for each.
	 *
	 * @param bool $passed       Whether others let it pass.
	 * @param int  $product_id   The product.
	 * @param int  $quantity     How many.
	 * @param int  $variation_id The variation, or 0.
	 */
	public static function validate( $passed, $product_id, $quantity = 1, $variation_id = 0 ) {
		$product = wc_get_product( $variation_id ? $variation_id : $product_id );
		$said    = self::said_of( $product );
		if ( null === $said ) {
			return $passed;
		}
		$wrong = '' === $said['for'] ? __( 'Please choose for whom it is.', 'academy-bridge' ) : '';
		if ( 'gift' === $said['for'] ) {
			$wrong = self::wrong_addresses( $said['gift_to'] );
			$wrong = '' !== $wrong ? $wrong : self::too_many( count( $said['gift_to'] ), (int) $quantity * Product::places( $product ) );
		}
		if ( '' !== $wrong ) {
			wc_add_notice( $wrong, 'error' );
			return false;
		}
		return $passed;
	}

	/**
	 * Whether each gift in the cart has a place for each address: the quantity may have been changed there.
	 */
	public static function check_cart(): void {
		foreach ( WC()->cart->get_cart() as $item ) {
			$product = $item['data'] ?? null;
			$gift_to = self::addresses( (string) ( $item[ self::ADDRESSES ] ?? '' ) );
			if ( $gift_to && $product instanceof WC_Product ) {
				$wrong = self::too_many( count( $gift_to ), (int) $item['quantity'] * Product::places( $product ) );
				if ( '' !== $wrong ) {
					wc_add_notice( $product->get_name() . ': ' . $wrong, 'error' );
				}
			}
		}
	}

	/**
	 * Keep it with the item in the cart. The same product for somebody else is an item of its own.
	 *
	 * @param array<string,mixed> $data         What is kept.
	 * @param int                 $product_id   The product.
	 * @param int                 $variation_id The variation, or 0.
	 */
	public static function keep( $data, $product_id, $variation_id = 0 ) {
		$said = self::said_of( wc_get_product( $variation_id ? $variation_id : $product_id ) );
		if ( null !== $said && '' !== $said['for'] ) {
			$data[ self::FIELD ] = $said['for'];
			if ( 'gift' === $said['for'] ) {
				$data[ self::ADDRESSES ] = implode( ', ', $said['gift_to'] );
			}
		}
		return $data;
	}

	/**
	 * Show it in cart and checkout.
	 *
	 * @param array<int,array<string,string>> $rows What is shown of the item.
	 * @param array<string,mixed>             $item The item.
	 */
	public static function show_in_cart( $rows, $item ) {
		$words = self::words( (string) ( $item[ self::FIELD ] ?? '' ), (string) ( $item[ self::ADDRESSES ] ?? '' ) );
		if ( '' !== $words ) {
			$rows[] = array(
				'key'   => __( 'For', 'academy-bridge' ),
				'value' => $words,
			);
		}
		return $rows;
	}

	/**
	 * Write it to the order's line, and to a subscription's.
	 *
	 * @param WC_Order_Item_Product $line The line.
	 * @param string                $key  The item's key in the cart.
	 * @param array<string,mixed>   $item The item.
	 */
	public static function write( $line, $key, $item ): void {
		$for     = (string) ( $item[ self::FIELD ] ?? '' );
		$gift_to = self::addresses( (string) ( $item[ self::ADDRESSES ] ?? '' ) );
		if ( in_array( $for, array( 'me', 'team' ), true ) ) {
			$line->add_meta_data( self::FOR_META, $for, true );
		} elseif ( 'gift' === $for && '' === self::wrong_addresses( $gift_to ) ) {
			$line->add_meta_data( self::GIFT_META, implode( ', ', $gift_to ), true );
		}
	}

	/**
	 * Show it with the order's line: to the customer, to staff, and in mails.
	 *
	 * @param array<int|string,object> $rows What is shown.
	 * @param object                   $line The line.
	 */
	public static function show_in_order( $rows, $line ) {
		if ( ! $line instanceof WC_Order_Item_Product ) {
			return $rows;
		}
		$address = (string) $line->get_meta( self::GIFT_META );
		$words   = self::words( '' !== $address ? 'gift' : (string) $line->get_meta( self::FOR_META ), $address );
		if ( '' !== $words ) {
			$rows['academy_bridge'] = (object) array(
				'key'           => 'academy_bridge',
				'value'         => $words,
				'display_key'   => __( 'For', 'academy-bridge' ),
				'display_value' => '<p>' . esc_html( $words ) . '</p>',
			);
		}
		return $rows;
	}

	/**
	 * Staff see the words, not the raw fields beside them.
	 *
	 * @param string[] $keys Hidden keys.
	 */
	public static function hide_raw( $keys ) {
		return array_merge( $keys, array( self::FOR_META, self::GIFT_META ) );
	}

	/**
	 * A choice in words.
	 *
	 * @param string $for_whom "me", "team", "gift" or "".
	 * @param string $gift_to  The gift's addresses.
	 */
	private static function words( string $for_whom, string $gift_to ): string {
		switch ( $for_whom ) {
			case 'me':
				return __( 'myself', 'academy-bridge' );
			case 'team':
				return __( 'my team', 'academy-bridge' );
			case 'gift':
				/* translators: %s: an e-mail address, or several with commas between. */
				return sprintf( __( 'a gift to %s', 'academy-bridge' ), $gift_to );
		}
		return '';
	}

	/**
	 * Whether a product is one that asks wherever it is put into the cart.
	 *
	 * @param mixed $product A product.
	 */
	private static function is_asked( $product ): bool {
		return $product instanceof WC_Product && Settings::shows( 'choice' ) && Product::asks( $product );
	}

	/**
	 * Whether the buyer may say for whom a product is.
	 *
	 * @param mixed $product A product or variation.
	 */
	private static function is_open( $product ): bool {
		return $product instanceof WC_Product && Settings::shows( 'choice' ) && Product::leaves_open( $product );
	}

	/**
	 * What was said of a product that leaves it open; null if it does not, or nothing was said.
	 *
	 * @param mixed $product A product or variation.
	 * @return array{for:string,gift_to:string[]}|null
	 */
	private static function said_of( $product ): ?array {
		$said = self::posted();
		return null !== $said && self::is_open( $product ) ? $said : null;
	}

	/**
	 * What the form brought. It needs no nonce, as WooCommerce's own form has none: it fills the visitor's own cart.
	 *
	 * @return array{for:string,gift_to:string[]}|null
	 */
	private static function posted(): ?array {
		// phpcs:disable WordPress.Security.NonceVerification.Missing
		if ( ! isset( $_POST[ self::FIELD ] ) ) {
			return null;
		}
		$for = is_string( $_POST[ self::FIELD ] ) ? sanitize_key( $_POST[ self::FIELD ] ) : '';
		// Not sanitize_email(): that makes one address of two, and it would be somebody else's.
		$gift_to = isset( $_POST[ self::ADDRESSES ] ) && is_string( $_POST[ self::ADDRESSES ] ) ? sanitize_text_field( wp_unslash( $_POST[ self::ADDRESSES ] ) ) : '';
		// phpcs:enable
		return array(
			'for'     => in_array( $for, array( 'me', 'team', 'gift' ), true ) ? $for : '',
			'gift_to' => strlen( $gift_to ) <= self::MOST_BYTES ? self::addresses( $gift_to ) : array(),
		);
	}

	/**
	 * The addresses that a text names, each once. The bridge reads them so too, of lines with commas between.
	 *
	 * @param string $text Addresses with commas, semicolons or spaces between.
	 * @return string[]
	 */
	private static function addresses( string $text ): array {
		return array_values( array_unique( (array) preg_split( '/[\s,;]+/', strtolower( $text ), -1, PREG_SPLIT_NO_EMPTY ) ) );
	}

	/**
	 * What is wrong with a gift's addresses; "" for nothing.
	 *
	 * @param string[] $gift_to The addresses.
	 */
	private static function wrong_addresses( array $gift_to ): string {
		if ( ! $gift_to ) {
			return __( 'Please give the address of the person who gets the gift.', 'academy-bridge' );
		}
		foreach ( $gift_to as $address ) {
			if ( ! is_email( $address ) || strlen( $address ) > self::LONGEST ) {
				/* translators: %s: what somebody typed. */
				return sprintf( __( '%s is no e-mail address that a gift can go to.', 'academy-bridge' ), $address );
			}
		}
		return '';
	}

	/**
	 * What is wrong with a gift to so many; "" for nothing.
	 *
	 * @param int $people How many addresses there are.
	 * @param int $places How many places.
	 */
	private static function too_many( int $people, int $places ): string {
		if ( $people <= $places ) {
			return '';
		}
		/* translators: 1: number of addresses, 2: number of places. */
		return sprintf( __( 'The gift is for more people (%1$d) than there are places (%2$d). Please remove addresses, or take more.', 'academy-bridge' ), $people, $places );
	}
}
